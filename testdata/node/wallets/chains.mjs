// The chains that wallets pay on: anvil as Tempo's testnet, anvil as Base
// Sepolia, and Berth's own development chain. Each is {url, chain, token,
// client, funded(i)}: funded accounts have play tokens.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createTestClient, createWalletClient, erc20Abi, http, pad, parseAbi, publicActions } from 'viem';
import { generatePrivateKey, mnemonicToAccount, privateKeyToAccount } from 'viem/accounts';
import { baseSepolia, tempoModerato } from 'viem/chains';
import { freePort, start } from './programs.mjs';

const pathUSD = '0x20c0000000000000000000000000000000000000';
const usdc = '0x036CbD53842c5426634e7929541eC2318f3dCF7e'; // Base Sepolia's

/** The account of that number of anvil's own wallet, which every anvil funds. */
export function anvilAccount(index) {
  const account = mnemonicToAccount('test test test test test test test test test test test junk', { addressIndex: index });
  const key = account.getHdKey().privateKey;
  return Object.assign(privateKeyToAccount(`0x${Buffer.from(key).toString('hex')}`), { key: `0x${Buffer.from(key).toString('hex')}` });
}

/** A new account, which has nothing. */
export function newAccount() {
  const key = generatePrivateKey();
  return Object.assign(privateKeyToAccount(key), { key });
}

function anvilProgram() {
  const require = createRequire(import.meta.url);
  const package_ = `@foundry-rs/anvil-${process.platform}-${process.arch === 'x64' ? 'amd64' : process.arch}`;
  return join(dirname(require.resolve(`${package_}/package.json`)), 'bin', 'anvil');
}

function connect(chain, url, token) {
  const local = { ...chain, rpcUrls: { default: { http: [url] } } };
  const client = createTestClient({ chain: local, mode: 'anvil', transport: http(url), pollingInterval: 100 }).extend(publicActions);
  return {
    url, chain: local, token, client,
    balance: (address) => client.readContract({ address: token, abi: erc20Abi, functionName: 'balanceOf', args: [address] }),
  };
}

/** The chain's id, once it answers. */
async function answers(chain) {
  const id = await chain.client.getChainId();
  if (id !== chain.chain.id) throw new Error(`chain ${id} instead of ${chain.chain.id}`);
  return chain;
}

/** Anvil in Tempo mode. Payments carry times: its clock is to be the world's. */
export async function startTempo(work) {
  const port = await freePort();
  const chain = connect(tempoModerato, `http://127.0.0.1:${port}`, pathUSD);
  const now = String(Math.floor(Date.now() / 1000));
  const args = ['--network', 'tempo', '--hardfork', 't3', '--chain-id', '42431', '--timestamp', now, '--block-time', '1', '--port', String(port)];
  return start('anvil-tempo', anvilProgram(), args, { work, ready: () => answers(chain) });
}

/** Anvil under Base Sepolia's chain id, with play USDC where the real one is. */
export async function startBase(work, code) {
  const port = await freePort();
  const chain = connect(baseSepolia, `http://127.0.0.1:${port}`, usdc);
  await start('anvil-base', anvilProgram(), ['--chain-id', '84532', '--port', String(port)], { work, ready: () => answers(chain) });
  const minter = anvilAccount(9);
  await chain.client.setCode({ address: usdc, bytecode: `0x${(await readFile(code, 'utf8')).trim().replace(/^0x/, '')}` });
  await chain.client.setStorageAt({ address: usdc, index: 0, value: pad(minter.address) });
  const wallet = createWalletClient({ account: minter, chain: chain.chain, transport: http(chain.url) });
  chain.fund = async (address, dollars = 10) => {
    const hash = await wallet.writeContract({
      address: usdc, abi: parseAbi(['function mint(address to, uint256 value)']), functionName: 'mint', args: [address, BigInt(dollars) * 1_000_000n],
    });
    const { status } = await chain.client.waitForTransactionReceipt({ hash });
    if (status !== 'success') throw new Error('the mint was reverted');
  };
  return chain;
}

/** Berth's development chain, whose faucet funds accounts. */
export async function startDevchain(work, program) {
  const port = await freePort();
  const chain = connect(baseSepolia, `http://127.0.0.1:${port}`, usdc);
  await start('berth-devchain', program, ['--listen', `127.0.0.1:${port}`], { work, ready: () => answers(chain) });
  chain.fund = async (address) => {
    const response = await fetch(`${chain.url}/faucet`, { method: 'POST', body: JSON.stringify({ address }) });
    if (!response.ok) throw new Error(`the faucet: ${await response.text()}`);
  };
  return chain;
}

