// What mppx's validator pays with, instead of money from the public testnet's
// faucet: the key and the chain that the environment names.
import { tempo } from 'mppx/client';
import { createClient, http } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { tempoModerato } from 'viem/chains';

const account = privateKeyToAccount(process.env.MPPX_PRIVATE_KEY);
const transport = http(process.env.MPPX_RPC_URL);

export default { methods: [tempo.charge({ account, getClient: () => createClient({ account, chain: tempoModerato, transport }) })] };
