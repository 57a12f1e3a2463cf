// Drives docs/clients/session.ts against a server, through a network that loses answers.
// Usage: node drive_session.js BASE_URL USERNAME PASSWORD
// Asks on standard output for what only the server can do, and goes on when a line comes back.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { Refused, Session, SignedOut, Unavailable } from "../../docs/clients/session.js";
import { Memory, Network } from "./network.js";

const [server, username, password] = process.argv.slice(2) as [string, string, string];
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const device = { installation_id: "driven", name: "Driven" };

let signedOut = 0;
const store = new Memory();
const network = new Network(server, store);
const base = await network.start();
const session = new Session(base, store, () => signedOut++);
// A second process of the app: it shares the store, and nothing else.
const extension = new Session(base, store);
const report: Record<string, unknown> = {};

async function ask(what: string): Promise<void> {
  console.log(what);
  await lines.next();
}

function nameOf(error: unknown): string {
  return (error as Error).constructor.name;
}

async function statusOf(fetched: Promise<Response>): Promise<number | string> {
  return fetched.then(({ status }) => status, nameOf);
}

// Requests at the same moment, as a screen that opens sends them; few enough for the rate limits.
async function burst(count: number, from = session) {
  const statuses = Array.from({ length: count }, () => statusOf(from.fetch("/users/me")));
  const outcomes = [...new Set(await Promise.all(statuses))];
  return { ...network.seen(), outcomes };
}

report.wrong_password = await session
  .signIn(username, "wrong", device)
  .catch((error: unknown) => error instanceof Refused && error.message);
network.fates.push("empty");
report.sign_in_page = await session
  .signIn(username, password, device)
  .catch((error: unknown) => error instanceof Unavailable && store.pair === null);
await session.signIn(username, password, device);
report.fresh = await burst(20);

await ask("expire");
report.expired = await burst(20);

await ask("expire");
network.fates.push("lost", "lost");
report.lost_answers = await burst(20);

await ask("expire");
network.fates.push("away");
report.server_away = await burst(5);

await ask("expire");
network.fates.push("page", "empty", "half");
report.gateway_pages = await burst(5);

// The app ends in the middle of a refresh: the next start goes on with the stored key.
await ask("expire");
network.fates.push("closed");
const before = await statusOf(session.fetch("/users/me"));
network.fates.push("lost");
report.restarted = { before, ...(await burst(5, new Session(base, store))) };

// The server could answer a retry only with an access token that has expired.
await ask("expire");
network.fates.push("spent");
report.spent_pair = await burst(5);

await ask("expire");
const both = [session, extension].map((one) => statusOf(one.fetch("/users/me")));
report.two_processes = { statuses: await Promise.all(both), keys: network.seen().keys };

// The other process refreshes while this one waits for its second try: there is no second try.
await ask("expire");
network.fates.push("away");
const away = network.struck("away");
const waiting = statusOf(session.fetch("/users/me"));
await away;
const other = await statusOf(extension.fetch("/users/me"));
report.overtaken = { status: await waiting, other, ...network.seen() };

// A message that is under way while the other process refreshes twice.
async function overtakenTwice(fate: "late" | "stalled", pause = 0) {
  await ask("expire");
  network.fates.push(fate);
  const held = network.struck(fate);
  const slow = statusOf(session.fetch("/users/me"));
  await held;
  await extension.fetch("/users/me");
  await ask("expire");
  await extension.fetch("/users/me");
  const newest = store.pair;
  await sleep(pause);
  network.release();
  const status = await slow;
  return { status, kept: store.pair === newest, last: network.status, ...network.seen() };
}

// The answer brings a pair that is no longer the newest.
report.late_answer = await overtakenTwice("late");
// The refresh token arrives after its grace period: only its key tells it from a stolen one.
report.late_duplicate = await overtakenTwice("stalled", 1_500);

// Paths that a link named: a port, a user name, another host, slashes that a browser reads as one.
const strangers: string[] = [];
const stranger = createServer((request, response) => {
  strangers.push(request.headers.authorization ?? "nobody");
  response.end();
});
await new Promise<void>((resolve) => stranger.listen(0, "127.0.0.1", resolve));
const port = (stranger.address() as AddressInfo).port;
const host = `127.0.0.1:${port}`;
const portless = new Session("http://127.0.0.1", store);
const paths = [
  ...[`:${port}/x`, `@${host}/x`, `http://${host}/x`],
  ...[`//${host}/x`, `/\\${host}/x`, `/\t/${host}/x`],
];
const astray = await Promise.allSettled(paths.map((path) => portless.fetch(path)));
report.led_astray = { sent: astray.filter((one) => one.status === "fulfilled").length, strangers };

await ask("revoke");
report.revoked = await burst(5);
report.told_signed_out = signedOut;
report.stored_after = store.pair;

await session.signIn(username, password, device);
const had = store.pair !== null;
await ask("expire");
const underWay = session.fetch("/users/me").catch((error: unknown) => error instanceof SignedOut);
await session.signOut();
await session.finishSignOuts();
report.signed_out = { under_way: await underWay, stored: store.pair, had };
report.sent_before_stored = network.unstored;
report.wrong_writes = store.wrongWrites;
console.log(JSON.stringify(report));
process.exit(0);
