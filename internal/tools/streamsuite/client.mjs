// Reads a stream with the protocol's own client, four times at once, as docs/recipes/streams.md
// says, and prints what each reader got.
import { createHash } from 'node:crypto'
import { follow } from './follow.mjs'

const readers = ['sse', 'sse', 'long-poll', 'long-poll'].map(async (live) => {
  const parts = []
  await follow(process.env.SUITE_URL, live, (data) => parts.push(Buffer.from(data)))
  return createHash('sha256').update(Buffer.concat(parts)).digest('hex')
})
console.log(JSON.stringify(await Promise.all(readers)))
process.exit(0)
