// Drives docs/clients/session.ts against a server, through a network that loses answers.
// Usage: node drive_session.js BASE_URL USERNAME PASSWORD
// Asks on standard output for what only the server can do, and goes on when a line comes back.

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import {
  type Pair,
  Refused,
  Session,
  SignedOut,
  type Store,
  Unavailable,
} from "../../docs/clients/session.js";

const [server, username, password] = process.argv.slice(2) as [string, string, string];
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const device = { installation_id: "driven", name: "Driven" };

// What happens to the next exchanges: the server's answer is lost or late, the server is away, or a
// gateway answers in its place.
const fates: ("lost" | "late" | "away" | "page" | "empty" | "half")[] = [];
// What a gateway says with a 200: none of it is a pair.
const PAGES: Record<string, string> = {
  page: "<h1>Please accept our terms</h1>",
  empty: "{}",
  half: '{"access_token": "axa_half", "refresh_token": null, "device": {"id": 7}}',
};
const PAIRS = new Set(["/users/login", "/users/token"]);
let refreshes = 0;
let unstored = 0;
let release = () => {};

const network = createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const refresh = request.url === "/users/token";
  if (refresh) refreshes++;
  const bearer = request.headers.authorization;
  if (bearer && !store.written.has(bearer)) unstored++;
  const fate = PAIRS.has(request.url ?? "") ? fates.shift() : undefined;
  if (fate === "away") {
    response.writeHead(503, { "Retry-After": "1" }).end("<h1>Service Unavailable</h1>");
    return;
  }
  if (fate && fate in PAGES) {
    response.writeHead(200, { "Content-Type": "application/json" }).end(PAGES[fate]);
    return;
  }
  const answer = await fetch(server + request.url, {
    method: request.method ?? "GET",
    headers: {
      "Content-Type": request.headers["content-type"] ?? "",
      Authorization: bearer ?? "",
    },
    ...(chunks.length > 0 && { body: Buffer.concat(chunks) }),
  });
  const body = await answer.text();
  if (fate === "late") {
    await new Promise<void>((resolve) => {
      release = resolve;
      network.emit("held");
    });
  }
  // The server has answered; the phone never hears of it.
  if (fate === "lost") response.destroy();
  else response.writeHead(answer.status, { "Content-Type": "application/json" }).end(body);
});
await new Promise<void>((resolve) => network.listen(0, "127.0.0.1", resolve));

class Memory implements Store {
  pair: Pair | null = null;
  written = new Set<string>();
  async read() {
    return this.pair;
  }
  async write(pair: Pair) {
    this.pair = pair;
    this.written.add(`Bearer ${pair.access_token}`);
  }
  async clear() {
    this.pair = null;
  }
}

let signedOut = 0;
const store = new Memory();
const base = `http://127.0.0.1:${(network.address() as AddressInfo).port}`;
const session = new Session(base, store, () => signedOut++);
const report: Record<string, unknown> = {};

async function ask(what: string): Promise<void> {
  console.log(what);
  await lines.next();
}

// Twenty requests at the same moment, as a screen that opens sends them.
async function burst(): Promise<{ refreshes: number; outcomes: string[] }> {
  refreshes = 0;
  const requests = Array.from({ length: 20 }, () => session.fetch("/users/me"));
  const settled = await Promise.allSettled(requests);
  const outcomes = settled.map((one) =>
    one.status === "fulfilled" ? String(one.value.status) : (one.reason as Error).constructor.name,
  );
  return { refreshes, outcomes: [...new Set(outcomes)] };
}

report.wrong_password = await session
  .signIn(username, "wrong", device)
  .catch((error: unknown) => error instanceof Refused && error.message);
fates.push("empty");
report.sign_in_page = await session
  .signIn(username, password, device)
  .catch((error: unknown) => error instanceof Unavailable && store.pair === null);
await session.signIn(username, password, device);
report.fresh = await burst();

await ask("expire");
report.expired = await burst();

await ask("expire");
fates.push("lost", "lost");
report.lost_answers = await burst();

await ask("expire");
fates.push("away");
report.server_away = await burst();

await ask("expire");
fates.push("page", "empty", "half");
report.gateway_pages = await burst();

// A second process of the app, with a memory of its own for what is under way.
await ask("expire");
const extension = new Session(base, store);
const both = await Promise.all([session.fetch("/users/me"), extension.fetch("/users/me")]);
report.two_processes = both.map((answer) => answer.status);

// An answer so late that the other process has refreshed twice since: its pair is an old one.
await ask("expire");
fates.push("late");
const held = once(network, "held");
const slow = session.fetch("/users/me");
await held;
await extension.fetch("/users/me");
await ask("expire");
await extension.fetch("/users/me");
const newest = store.pair as Pair | null;
release();
report.late_answer = { status: (await slow).status, kept: store.pair === newest };

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
report.revoked = await burst();
report.told_signed_out = signedOut;
report.stored_after = store.pair;

await session.signIn(username, password, device);
const last = store.pair as Pair | null;
await ask("expire");
const underWay = session.fetch("/users/me").catch((error: unknown) => error instanceof SignedOut);
await session.signOut();
report.used_before_stored = unstored;
report.signed_out = { under_way: await underWay, stored: store.pair, had: last !== null };
console.log(JSON.stringify(report));
process.exit(0);
