// A network that loses, delays and replaces answers, and a store that watches what is written to it.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Pair, Store, Stored } from "../../docs/clients/session.js";

// What happens to an exchange that would bring a pair: the answer is lost or comes late; the request
// comes late; the server is away, for a second or for minutes; the pair's access token has expired; a
// gateway answers.
export type Fate = "lost" | "late" | "stalled" | "away" | "closed" | "spent" | keyof typeof PAGES;

// What a gateway says with a 200: none of it is a pair.
const PAGES = {
  page: "<h1>Please accept our terms</h1>",
  empty: "{}",
  half: '{"access_token": "axa_half", "refresh_token": null, "device": {"id": 7}}',
};
const RETRY_AFTER: Record<string, string> = { away: "1", closed: "120" };
const PAIRS = new Set(["/users/login", "/users/token"]);

// A store that takes its time, as a Keychain does, and lets nothing in between read and write.
export class Memory implements Store {
  stored: Stored | null = null;
  // Each access token, and each refresh token with its key, that was ever stored.
  readonly written = new Set<string>();
  // Writes that are neither a first key for the same pair nor a newer pair without a key.
  readonly wrongWrites: (Stored | null)[] = [];
  private queue: Promise<unknown> = Promise.resolve();

  get pair(): Pair | null {
    return this.stored?.pair ?? null;
  }

  async read(): Promise<Stored | null> {
    return this.stored;
  }

  update(change: (stored: Stored | null) => Stored | null): Promise<Stored | null> {
    const result = this.queue.then(async () => {
      await sleep(2);
      const next = change(this.stored);
      if (next?.pair && next !== this.stored) this.watch(next, next.pair);
      this.stored = next;
      return next;
    });
    this.queue = result;
    return result;
  }

  private watch(next: Stored, pair: Pair): void {
    const last = this.pair;
    const key = next.idempotency_key;
    const isSame = pair.refresh_token === last?.refresh_token;
    const isFirstKey = key && isSame && !this.stored?.idempotency_key;
    const isNewer = pair.device.id !== last?.device.id || pair.generation > last.generation;
    if (!isFirstKey && (key || !isNewer)) this.wrongWrites.push(next);
    this.written.add(`Bearer ${pair.access_token}`).add(`${pair.refresh_token} ${key}`);
  }
}

export class Network {
  readonly fates: Fate[] = [];
  // Lets the late request or answer through.
  release = () => {};
  // The status of the last refresh that reached the server.
  status = 0;
  // Requests that carried something that was not in the store before.
  unstored = 0;
  private keys: string[] = [];
  private waiting: { what: Fate; resolve: () => void }[] = [];
  private readonly server: string;
  private readonly store: Memory;

  constructor(server: string, store: Memory) {
    this.server = server;
    this.store = store;
  }

  async start(): Promise<string> {
    const proxy = createServer(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      const headers = new Headers(request.headers as Record<string, string>);
      const sent = { method: request.method ?? "", headers, body };
      const answer = await this.exchange(request.url ?? "", sent);
      if (answer) response.writeHead(answer.status, answer.headers).end(answer.body);
      else response.destroy();
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  }

  // Returns how many refreshes there were since it was asked last, and with how many keys.
  seen(): { refreshes: number; keys: number } {
    const seen = { refreshes: this.keys.length, keys: new Set(this.keys).size };
    this.keys = [];
    return seen;
  }

  // Resolves when the fate has struck.
  struck(what: Fate): Promise<void> {
    return new Promise((resolve) => this.waiting.push({ what, resolve }));
  }

  private watch(path: string, headers: Headers, body: string): void {
    const bearer = headers.get("authorization");
    if (bearer && !this.store.written.has(bearer)) this.unstored++;
    if (path !== "/users/token") return;
    const token = JSON.parse(body).refresh_token as string;
    const key = headers.get("idempotency-key") ?? "";
    this.keys.push(key);
    if (!key || !this.store.written.has(`${token} ${key}`)) this.unstored++;
  }

  private async exchange(path: string, sent: { method: string; headers: Headers; body: string }) {
    this.watch(path, sent.headers, sent.body);
    const fate = PAIRS.has(path) ? this.fates.shift() : undefined;
    const headers = { "Content-Type": "application/json" };
    if (fate && fate in RETRY_AFTER) {
      this.strike(fate);
      const retry = { ...headers, "Retry-After": RETRY_AFTER[fate] };
      return { status: 503, headers: retry, body: "<h1>Service Unavailable</h1>" };
    }
    if (fate && fate in PAGES) {
      return { status: 200, headers, body: PAGES[fate as keyof typeof PAGES] };
    }
    for (const name of ["host", "connection", "content-length"]) sent.headers.delete(name);
    if (fate === "stalled") await this.hold(fate);
    const { method, body } = sent;
    const init = { method, headers: sent.headers, ...(body && { body }) };
    const answer = await fetch(this.server + path, init);
    if (path === "/users/token") this.status = answer.status;
    let text = await answer.text();
    if (fate === "spent") text = JSON.stringify({ ...JSON.parse(text), expires_in: 0 });
    if (fate === "late") await this.hold(fate);
    // The server has answered; the device never hears of it.
    if (fate === "lost") return null;
    const retryAfter = answer.headers.get("retry-after");
    const passed = { ...headers, ...(retryAfter && { "Retry-After": retryAfter }) };
    return { status: answer.status, headers: passed, body: text };
  }

  private async hold(fate: Fate): Promise<void> {
    const released = new Promise<void>((resolve) => {
      this.release = resolve;
    });
    this.strike(fate);
    await released;
  }

  private strike(fate: Fate): void {
    const index = this.waiting.findIndex(({ what }) => what === fate);
    this.waiting.splice(index, index < 0 ? 0 : 1).forEach(({ resolve }) => resolve());
  }
}
