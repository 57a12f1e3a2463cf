// A session with the server: signs in, sends requests, refreshes, signs out. Copy this file.
// For React Native, browsers and Node; the store is the phone's Keychain or Keystore.

export interface Pair {
  access_token: string;
  refresh_token: string;
  device: { id: string };
}

export interface Store {
  read(): Promise<Pair | null>;
  write(pair: Pair): Promise<void>;
  clear(): Promise<void>;
}

// Nobody is signed in any more: show the sign-in.
export class SignedOut extends Error {}
// No answer that says anything: the tokens are kept, try again later.
export class Unavailable extends Error {}
// The server says no, with the code in the message: never asked again by itself.
export class Refused extends Error {}

interface Answer {
  status: number;
  retryAfter: number;
  body: unknown;
}

const ATTEMPTS = 6;
const TIMEOUT = 20_000;
const LONGEST_WAIT = 60_000;

export class Session {
  private refreshing: Promise<Pair> | null = null;

  private readonly base: string;
  private readonly store: Store;
  private readonly onSignedOut: () => void;

  constructor(base: string, store: Store, onSignedOut: () => void = () => {}) {
    this.base = base;
    this.store = store;
    this.onSignedOut = onSignedOut;
  }

  async signIn(username: string, password: string, device: Record<string, string>): Promise<void> {
    const answer = await this.post("/users/login", { username, password, device });
    if (answer.status !== 200) throw new Refused(codeOf(answer));
    if (!isPair(answer.body)) throw new Unavailable();
    await this.store.write(answer.body);
  }

  // Sends a request as the person who is signed in; repeats it once, after a refresh.
  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    // The tokens are for this server only. An older React Native's URL has no origin.
    if (!/^\/(?![/\\\s])/.test(path)) throw new TypeError("a path begins with one slash");
    const pair = await this.store.read();
    if (!pair) throw new SignedOut();
    const answer = await this.send(path, init, pair);
    if (answer.status !== 401) return answer;
    return this.send(path, init, await this.refresh(pair));
  }

  // Forgets the tokens first: a sign-out without a network is one all the same.
  async signOut(): Promise<void> {
    const pair = await this.store.read();
    await this.store.clear();
    if (pair) await this.post("/users/revoke", { token: pair.refresh_token }).catch(() => null);
  }

  private send(path: string, init: RequestInit, pair: Pair): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set("Authorization", `Bearer ${pair.access_token}`);
    return fetch(this.base + path, { ...init, headers });
  }

  // Single flight: whoever needs a new pair meanwhile waits for the same one.
  private refresh(refused: Pair): Promise<Pair> {
    this.refreshing ??= this.renew(refused).finally(() => {
      this.refreshing = null;
    });
    return this.refreshing;
  }

  private async renew(refused: Pair): Promise<Pair> {
    const held = await this.pairOf(refused.device.id);
    // A refresh that ended a moment ago has served this request too.
    if (held.access_token !== refused.access_token) return held;
    const answer = await this.askForPair(held.refresh_token);
    const current = await this.pairOf(refused.device.id);
    // Another process of this app was quicker: the server gave both the same pair.
    if (current.refresh_token !== held.refresh_token) return current;
    if (isPair(answer.body)) {
      // Store, then use: once the new pair is used, the old token cannot be shown again.
      await this.store.write(answer.body);
      return answer.body;
    }
    if (codeOf(answer) !== "invalid_grant") throw new Refused(codeOf(answer));
    await this.store.clear();
    this.onSignedOut();
    throw new SignedOut();
  }

  // The stored pair, if it is still of the session that asks: a request is repeated for no one else.
  private async pairOf(session: string): Promise<Pair> {
    const pair = await this.store.read();
    if (pair?.device.id !== session) throw new SignedOut();
    return pair;
  }

  // Shows the same token until an answer says something about it.
  private async askForPair(refresh_token: string): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      const body = { grant_type: "refresh_token", refresh_token };
      const answer = await this.post("/users/token", body).catch(() => null);
      if (answer && says(answer)) return answer;
      // A random part of a span that doubles: phones that failed together do not return together.
      const wait = (answer?.retryAfter ?? 0) + Math.random() * 250 * 2 ** attempt;
      if (attempt === ATTEMPTS || wait > LONGEST_WAIT) throw new Unavailable();
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }

  private async post(path: string, body: unknown): Promise<Answer> {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), TIMEOUT);
    try {
      const answer = await fetch(this.base + path, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
        signal: abort.signal,
      });
      const retryAfter = 1000 * (Number(answer.headers.get("Retry-After")) || 0);
      const said: unknown = await answer.json().catch(() => null);
      return { status: answer.status, retryAfter, body: said };
    } finally {
      clearTimeout(timer);
    }
  }
}

// A pair that breaks off, or a page of the network's own in its place, is no answer.
function says(answer: Answer): boolean {
  if (answer.status === 200) return isPair(answer.body);
  return answer.status !== 429 && answer.status < 500;
}

function isPair(body: unknown): body is Pair {
  const pair = body as Partial<Pair> | null;
  const parts = [pair?.access_token, pair?.refresh_token, pair?.device?.id];
  return parts.every((part) => typeof part === "string");
}

function codeOf(answer: Answer): string {
  return (answer.body as { error?: string } | null)?.error ?? `status ${answer.status}`;
}
