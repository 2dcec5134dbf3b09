// Answers challenges: each line of the input is {"header": …, "key": "0x…"}, and
// each line of the output the JSON of a credential. The argument is the URL of
// the chain's node.
import { createInterface } from 'node:readline'
import { Challenge } from 'mppx'
import { tempo } from 'mppx/client'
import { createClient, http } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { tempoModerato } from 'viem/chains'

const url = process.argv[2]
const chain = { ...tempoModerato, rpcUrls: { default: { http: [url] } } }

for await (const line of createInterface({ input: process.stdin })) {
  const { header, key } = JSON.parse(line)
  const account = privateKeyToAccount(key)
  const charge = tempo.charge({ account, getClient: () => createClient({ account, chain, transport: http(url) }) })
  const credential = await charge.createCredential({ challenge: Challenge.deserialize(header), context: {} })
  console.log(Buffer.from(credential.replace(/^Payment /, ''), 'base64url').toString())
}
