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

// What the store holds, as one value.
export interface Stored {
  // null: nobody is signed in.
  pair: Pair | null;
  // Once a refresh with this pair has begun: the key of that refresh.
  idempotency_key?: string;
  // Proves at the next sign-in that this device is known; a sign-out keeps it.
  device_credential?: string;
  // The refresh tokens of sign-outs that the server may not know of yet.
  sign_outs?: string[];
}

export interface Store {
  // Fails if the store cannot be read now: null means that nothing was ever stored.
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
const LONGEST_WAIT = 60_000;

export class Session {
  private refreshing: Promise<Pair> | null = null;

  private readonly base: string;
  private readonly store: Store;
  private readonly onSignedOut: () => void;
  // How long a response may take, in milliseconds.
  private readonly timeout: number;

  constructor(
    base: string,
    store: Store,
    onSignedOut: () => void = () => {},
    timeout = 20_000,
  ) {
    this.base = base;
    this.store = store;
    this.onSignedOut = onSignedOut;
    this.timeout = timeout;
  }

  async signIn(username: string, password: string, device: Record<string, string>): Promise<void> {
    const credential = (await this.store.read())?.device_credential ?? "";
    const body = { username, password, device: { ...device, credential } };
    const answer = await this.post("/users/login", body);
    if (answer.status !== 200) throw new Refused(codeOf(answer));
    const pair = answer.body;
    if (!isPair(pair)) throw new Unavailable();
    const { device_credential = "" } = pair as Stored & Pair;
    await this.store.update((now) => ({ ...signedOut(now), pair, device_credential }));
  }

  // Sends a request with the access token; if that is refused, refreshes and sends it once more.
  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    // The tokens are for this server only. The URL of an older React Native has no origin.
    if (!/^\/(?![/\\\s])/.test(path)) throw new TypeError("a path begins with one slash");
    const pair = (await this.store.read())?.pair;
    if (!pair) throw new SignedOut();
    const answer = await this.send(path, init, pair);
    // A stream can be read only once.
    if (answer.status !== 401 || isStream(init.body)) return answer;
    return this.send(path, init, await this.refresh(pair));
  }

  // Deletes the pair first, so that signing out works without a network.
  async signOut(): Promise<void> {
    await this.store.update(signedOut);
    this.finishSignOuts().catch(() => null);
  }

  // Tells the server of sign-outs that it may not know of. Call it when the app starts, too.
  async finishSignOuts(): Promise<void> {
    for (const token of (await this.store.read())?.sign_outs ?? []) {
      await this.tellOfSignOut(token);
      await this.store.update((now) => {
        const waiting = now?.sign_outs?.filter((other) => other !== token) ?? [];
        return now && { ...now, sign_outs: waiting };
      });
    }
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
      const { pair: held, idempotency_key } = await this.begin(wanted);
      // Another request, or another process of this app, has refreshed meanwhile.
      if (held.access_token !== wanted.access_token) return held;
      const answer = await this.ask(held, idempotency_key).catch(() => null);
      if (answer && isFinal(answer)) {
        wanted = await this.finish(held, answer);
        if (wanted.expires_in > 0) return wanted;
      }
      await pause(attempt, answer);
    }
  }

  private async tellOfSignOut(token: string): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const answer = await this.post("/users/revoke", { token }).catch(() => null);
      // Another response, or a page, is not of this server.
      if (answer?.status === 400 || (answer?.status === 200 && isObject(answer.body))) return;
      await pause(attempt, answer);
    }
  }

  // Reads the store, and stores a key if this pair has none: before the refresh is sent.
  private async begin(refused: Pair): Promise<{ pair: Pair; idempotency_key: string }> {
    const stored = await this.store.update((now) => {
      const isOther = now?.pair?.access_token !== refused.access_token;
      return isOther || now.idempotency_key ? now : { ...now, idempotency_key: newKey() };
    });
    const pair = ofSession(refused, stored?.pair);
    return { pair, idempotency_key: stored?.idempotency_key ?? "" };
  }

  private ask({ refresh_token }: Pair, key: string): Promise<Answer> {
    const body = { grant_type: "refresh_token", refresh_token };
    return this.post("/users/token", body, { "Idempotency-Key": key });
  }

  // Stores the new pair before its first use: that use ends the life of the old refresh token.
  private async finish(held: Pair, answer: Answer): Promise<Pair> {
    const next = answer.body;
    if (isPair(next)) {
      return ofSession(held, (await this.store.update((now) => newer(next, now)))?.pair);
    }
    if (codeOf(answer) !== "invalid_grant") throw new Refused(codeOf(answer));
    let ended = false;
    const stored = await this.store.update((now) => {
      ended = now?.pair?.refresh_token === held.refresh_token;
      return ended ? withPair(now, null) : now;
    });
    if (ended) this.onSignedOut();
    return ofSession(held, stored?.pair);
  }

  private async post(
    path: string,
    body: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), this.timeout);
    try {
      const answer = await fetch(this.base + path, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...headers },
        body: JSON.stringify(body),
        signal: abort.signal,
        // A redirect could lead the tokens to another server. React Native follows it all the same.
        redirect: "error",
      });
      const said: unknown = await answer.json().catch(() => null);
      return { status: answer.status, retryAfter: retryAfterOf(answer.headers), body: said };
    } finally {
      clearTimeout(timer);
    }
  }
}

// A request is never repeated with the tokens of another session.
function ofSession(asked: Pair, pair: Pair | null | undefined): Pair {
  if (pair?.device.id !== asked.device.id) throw new SignedOut();
  return pair;
}

// A new pair comes without a key: the next refresh gets a key of its own.
function withPair(stored: Stored | null, pair: Pair | null): Stored {
  const { idempotency_key: _, ...rest } = stored ?? {};
  return { ...rest, pair };
}

// Responses may overtake each other: the pair of the higher generation stays.
function newer(next: Pair, stored: Stored | null): Stored | null {
  const held = stored?.pair;
  const replaces = held?.device.id === next.device.id && next.generation > held.generation;
  return replaces ? withPair(stored, next) : stored;
}

// The same write queues the sign-out, in case the app ends before the server knows.
function signedOut(stored: Stored | null): Stored {
  const token = stored?.pair?.refresh_token;
  const sign_outs = [...(stored?.sign_outs ?? []), ...(token ? [token] : [])];
  return { ...withPair(stored, null), sign_outs };
}

function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// The random part doubles, so that devices that failed together do not return together.
async function pause(attempt: number, answer: Answer | null): Promise<void> {
  const wait = (answer?.retryAfter ?? 0) + Math.random() * 250 * 2 ** attempt;
  if (attempt === ATTEMPTS || wait > LONGEST_WAIT) throw new Unavailable();
  await new Promise((resolve) => setTimeout(resolve, wait));
}

// Milliseconds. A date is compared with the server's own: the clock of the device may be wrong.
function retryAfterOf(headers: Headers): number {
  const text = headers.get("Retry-After") ?? "";
  if (/^\d+$/.test(text)) return 1000 * Number(text);
  const now = Date.parse(headers.get("Date") ?? "") || Date.now();
  return Math.max(0, (Date.parse(text) || now) - now);
}

// A truncated pair, or a network's own page in place of a response, says nothing about the tokens.
function isFinal({ status, body }: Answer): boolean {
  return status === 200 ? isPair(body) : status >= 400 && status < 500 && status !== 429;
}

function isObject(body: unknown): boolean {
  return typeof body === "object" && body !== null;
}

function isStream(body: unknown): boolean {
  return typeof (body as { getReader?: unknown } | null | undefined)?.getReader === "function";
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
