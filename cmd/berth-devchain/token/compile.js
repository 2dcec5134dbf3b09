// Writes the runtime bytecode of the contracts beside this file, in hex:
//
//	npm install --no-save solc@0.8.37 && node compile.js
const fs = require("fs");
const solc = require("solc");

for (const name of ["PlayUSDC", "PlayWallet"]) {
  const input = {
    language: "Solidity",
    sources: { [name + ".sol"]: { content: fs.readFileSync(__dirname + "/" + name + ".sol", "utf8") } },
    settings: {
      evmVersion: "cancun",
      optimizer: { enabled: true, runs: 200 },
      metadata: { bytecodeHash: "none" },
      outputSelection: { "*": { "*": ["evm.deployedBytecode.object"] } },
    },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  for (const e of output.errors ?? []) {
    console.error(e.formattedMessage);
    if (e.severity === "error") process.exit(1);
  }
  fs.writeFileSync(__dirname + "/" + name + ".hex", output.contracts[name + ".sol"][name].evm.deployedBytecode.object + "\n");
}
