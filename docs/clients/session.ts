// A session with the server: signs in, sends requests, refreshes, signs out. Copy this file.
// For React Native, browsers and Node; the store is the Keychain or the Keystore (docs/clients.md).

export interface Pair {
  access_token: string;
  expires_in: number;
  refresh_token: string;
  // Grows with every refresh of the same device session.
  generation: number;
  device: { id: string };
}

// What the store holds: the pair and, once a refresh with it has begun, the key of that refresh.
export interface Stored extends Pair {
  idempotency_key?: string;
}

export interface Store {
  // Fails if the store cannot be read now: null means that nobody is signed in.
  read(): Promise<Stored | null>;
  // Replaces what is stored with what `change` returns, in one write, and returns it. Nothing else
  // in the app, in any process, may write between its read and its write.
  update(change: (stored: Stored | null) => Stored | null): Promise<Stored | null>;
}

// The user has to sign in again.
export class SignedOut extends Error {}
// There was no usable response. The tokens are kept: try again later.
export class Unavailable extends Error {}
// The server refused, with the code in the message: trying again does not help.
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
    const pair = answer.body;
    if (!isPair(pair)) throw new Unavailable();
    await this.store.update(() => pair);
  }

  // Sends a request with the access token; if that is refused, refreshes and sends it once more.
  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    // The tokens are for this server only. The URL of an older React Native has no origin.
    if (!/^\/(?![/\\\s])/.test(path)) throw new TypeError("a path begins with one slash");
    const pair = await this.store.read();
    if (!pair) throw new SignedOut();
    const answer = await this.send(path, init, pair);
    if (answer.status !== 401) return answer;
    return this.send(path, init, await this.refresh(pair));
  }

  // Deletes the tokens first, so that signing out works without a network.
  async signOut(): Promise<void> {
    const pair = await this.store.read();
    await this.store.update(() => null);
    if (pair) await this.post("/users/revoke", { token: pair.refresh_token }).catch(() => null);
  }

  private send(path: string, init: RequestInit, pair: Pair): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set("Authorization", `Bearer ${pair.access_token}`);
    return fetch(this.base + path, { ...init, headers });
  }

  // Single flight: requests that need a new pair while a refresh is running wait for its pair.
  private async refresh(refused: Pair): Promise<Pair> {
    this.refreshing ??= this.renew(refused).finally(() => {
      this.refreshing = null;
    });
    return ofSession(refused, await this.refreshing);
  }

  private async renew(refused: Pair): Promise<Pair> {
    let wanted = refused;
    for (let attempt = 1; ; attempt++) {
      const held = await this.begin(wanted);
      // Another request, or another process of this app, has refreshed meanwhile.
      if (held.access_token !== wanted.access_token) return held;
      const answer = await this.ask(held).catch(() => null);
      if (answer && isFinal(answer)) {
        wanted = await this.finish(held, answer);
        if (wanted.expires_in > 0) return wanted;
      }
      // The random part doubles, so that devices that failed together do not return together.
      const wait = (answer?.retryAfter ?? 0) + Math.random() * 250 * 2 ** attempt;
      if (attempt === ATTEMPTS || wait > LONGEST_WAIT) throw new Unavailable();
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }

  // Reads the store, and stores a key if this pair has none: before the refresh is sent.
  private async begin(refused: Pair): Promise<Stored> {
    const stored = await this.store.update((now) => {
      const isReady = now?.access_token !== refused.access_token || now.idempotency_key;
      return isReady ? now : { ...now, idempotency_key: newKey() };
    });
    return ofSession(refused, stored);
  }

  private ask({ refresh_token, idempotency_key }: Stored): Promise<Answer> {
    const body = { grant_type: "refresh_token", refresh_token };
    return this.post("/users/token", body, { "Idempotency-Key": idempotency_key ?? "" });
  }

  // Stores the new pair before its first use: that use ends the life of the old refresh token.
  private async finish(held: Stored, answer: Answer): Promise<Pair> {
    const next = answer.body;
    if (isPair(next)) return ofSession(held, await this.store.update((now) => newer(next, now)));
    if (codeOf(answer) !== "invalid_grant") throw new Refused(codeOf(answer));
    let ended = false;
    const stored = await this.store.update((now) => {
      ended = now?.refresh_token === held.refresh_token;
      return ended ? null : now;
    });
    if (ended) this.onSignedOut();
    return ofSession(held, stored);
  }

  private async post(
    path: string,
    body: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), TIMEOUT);
    try {
      const answer = await fetch(this.base + path, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...headers },
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

// A request is never repeated with the tokens of another session.
function ofSession<P extends Pair>(asked: Pair, pair: P | null): P {
  if (pair?.device.id !== asked.device.id) throw new SignedOut();
  return pair;
}

// Responses may overtake each other: the pair of the higher generation stays.
function newer(next: Pair, stored: Stored | null): Stored | null {
  const replaces = stored?.device.id === next.device.id && next.generation > stored.generation;
  return replaces ? next : stored;
}

function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// A truncated pair, or a network's own page in place of a pair, says nothing about the tokens.
function isFinal(answer: Answer): boolean {
  if (answer.status === 200) return isPair(answer.body);
  return answer.status !== 429 && answer.status < 500;
}

function isPair(body: unknown): body is Pair {
  const pair = body as Partial<Pair> | null;
  const strings = [pair?.access_token, pair?.refresh_token, pair?.device?.id];
  const numbers = [pair?.expires_in, pair?.generation];
  return (
    strings.every((part) => typeof part === "string") &&
    numbers.every((part) => typeof part === "number")
  );
}

function codeOf(answer: Answer): string {
  return (answer.body as { error?: string } | null)?.error ?? `status ${answer.status}`;
}
