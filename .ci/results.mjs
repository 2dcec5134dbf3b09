// Reads the output of go test -json. Prints what go test prints without -v: the
// closing line of each package, and what failed tests said. At the end it lists
// the tests that were skipped, with their reasons.
import { createInterface } from 'node:readline';

const said = new Map(); // what each test printed, by package and name
const skipped = [];
for await (const line of createInterface({ input: process.stdin })) {
  let event;
  try {
    event = JSON.parse(line);
  } catch {
    console.log(line); // what the compiler says is no JSON
    continue;
  }
  const id = `${event.Package} ${event.Test ?? ''}`;
  switch (event.Action) {
    case 'build-output':
      process.stdout.write(event.Output);
      break;
    case 'output':
      if (!event.Test && !/^(PASS|coverage:.*|=== .*)\n$/.test(event.Output)) process.stdout.write(event.Output);
      else said.set(id, (said.get(id) ?? '') + event.Output);
      break;
    case 'fail':
      if (event.Test) console.log(said.get(id) ?? '');
      said.delete(id);
      break;
    case 'skip':
      if (event.Test) skipped.push(`${id}: ${reason(said.get(id))}`);
      said.delete(id);
      break;
    case 'pass':
      said.delete(id);
      break;
  }
}
console.log(`\n${skipped.length} tests skipped`);
for (const test of skipped) console.log(`  ${test}`);

/** The text that a skipped test logged last. */
function reason(text = '') {
  const logs = [...text.matchAll(/^\s+\S+\.go:\d+: (.*)$/gm)];
  return logs.at(-1)?.[1] ?? 'it does not say why';
}
