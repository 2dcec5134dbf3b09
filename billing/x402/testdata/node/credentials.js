// Makes credentials with the public clients of x402, at a fixed time and with a
// fixed key, as vectors for this package's tests.
import { writeFileSync } from "node:fs";
import { x402Client, x402HTTPClient } from "@x402/core/client";
import { registerExactEvmScheme } from "@x402/evm/exact/client";
import { createSIWxPayload, encodeSIWxHeader } from "@x402/extensions/sign-in-with-x";
import { privateKeyToAccount } from "viem/accounts";

const at = 1795312000; // seconds; the tests' clock
Date.now = () => at * 1000;
globalThis.crypto.getRandomValues = (b) => b.fill(7); // the authorization's nonce

const key = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
const signer = privateKeyToAccount(key);
const client = registerExactEvmScheme(new x402Client(), { signer });
const http = new x402HTTPClient(client);
const asset = "0x036CbD53842c5426634e7929541eC2318f3dCF7e";
const payTo = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C";
const extra = { name: "USDC", version: "2" };

const v2 = await client.createPaymentPayload({
  x402Version: 2,
  error: "payment required",
  resource: { url: "https://berth.example/v1/servers", description: "create_server", mimeType: "application/json" },
  accepts: [{ scheme: "exact", network: "eip155:84532", amount: "20000", asset, payTo, maxTimeoutSeconds: 300, extra: { ...extra, paymentFlow: "upfront" } }],
  extensions: {},
});
const v1 = await client.createPaymentPayload({
  x402Version: 1,
  error: "payment required",
  accepts: [{
    scheme: "exact", network: "base-sepolia", maxAmountRequired: "20000", asset, payTo, resource: "https://berth.example/v1/servers",
    description: "create_server", mimeType: "application/json", maxTimeoutSeconds: 300, extra,
  }],
});
const siwx = await createSIWxPayload({
  domain: "berth.example", uri: "https://berth.example/v1/servers", version: "1", statement: "Sign in to Berth.",
  nonce: "a1b2c3d4e5f67890a1b2c3d4e5f67890", issuedAt: new Date(at * 1000).toISOString(),
  expirationTime: new Date((at + 300) * 1000).toISOString(), resources: ["https://berth.example/v1/servers"],
  chainId: "eip155:84532", type: "eip191",
}, signer, "https://berth.example/v1/servers");

writeFileSync(new URL("../credentials.json", import.meta.url), JSON.stringify({
  at, payer: signer.address, payTo,
  v2, v2Header: http.encodePaymentSignatureHeader(v2)["PAYMENT-SIGNATURE"],
  v1, v1Header: http.encodePaymentSignatureHeader(v1)["X-PAYMENT"],
  siwx, siwxHeader: encodeSIWxHeader(siwx),
}, null, 2) + "\n");
