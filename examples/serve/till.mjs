// A till that asks a server: names what an image shows, then watches frames and prints what happens.
//
// node examples/serve/till.mjs http://127.0.0.1:8484 FRAME...

import { readFile } from "node:fs/promises";

const [address, ...frames] = process.argv.slice(2);

async function send(path, image) {
  const response = await fetch(address + path, {
    method: "POST",
    headers: { "Content-Type": "image/jpeg", "Deadline-Ms": "1000" },
    body: await readFile(image),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${response.status}: ${answer.error.message}`);
  return answer;
}

async function printEvents(response) {
  let kind = "", rest = "";
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith("event: ")) kind = line.slice(7);
      if (line.startsWith("data: ") && kind === "named")
        console.log("event: named", JSON.parse(line.slice(6)).track.label);
    }
  }
}

for (const item of (await send("/v1/recognize", frames[0])).items)
  console.log("recognize:", item.label ?? item.decision);

// Open before the first frame, so that no event is missed.
const events = printEvents(await fetch(`${address}/v1/streams/till/events`));
let answer;
for (const [number, frame] of frames.entries())
  answer = await send(`/v1/streams/till/frames?at_s=${number / 10}`, frame);
await fetch(`${address}/v1/streams/till`, { method: "DELETE" }); // ends the events, too
await events;
console.log("basket:", JSON.stringify(answer.basket));
