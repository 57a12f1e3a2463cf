// A process of an app with docs/clients/session.ts: does what each line says, and answers with one.
// Usage: node app.js BASE_URL STORE_FILE TIMEOUT_MS

import { mkdirSync, readFileSync, renameSync, rmdirSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { Session, type Store, type Stored } from "../../docs/clients/session.js";

const [base, file, timeout] = process.argv.slice(2) as [string, string, string];
const lock = `${file}.lock`;

// Shared with other processes: a directory can be made by one of them only.
class SharedFile implements Store {
  async read(): Promise<Stored | null> {
    try {
      return JSON.parse(readFileSync(file, "utf8")) as Stored;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw error;
    }
  }

  async update(change: (stored: Stored | null) => Stored | null): Promise<Stored | null> {
    while (!tryLock()) await sleep(2);
    try {
      const next = change(await this.read());
      writeFileSync(`${file}.new`, JSON.stringify(next));
      renameSync(`${file}.new`, file);
      return next;
    } finally {
      rmdirSync(lock);
    }
  }
}

function tryLock(): boolean {
  try {
    mkdirSync(lock);
    return true;
  } catch {
    return false;
  }
}

const session = new Session(base, new SharedFile(), () => {}, Number(timeout));

const deeds: Record<string, (...words: string[]) => Promise<unknown>> = {
  "sign-in": (username, password) =>
    session.signIn(username ?? "", password ?? "", { installation_id: "app", name: "App" }),
  call: async () => (await session.fetch("/users/me")).status,
  calls: (count) =>
    Promise.all(
      Array.from({ length: Number(count) }, async () => (await session.fetch("/users/me")).status),
    ),
  rename: async (id, name) => {
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify({ name });
    return (await session.fetch(`/users/devices/${id}`, { method: "PATCH", headers, body })).status;
  },
  "sign-out": () => session.signOut(),
  "finish-sign-outs": () => session.finishSignOuts(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const [deed, ...words] = JSON.parse(line) as [string, ...string[]];
  const answer = await deeds[deed]?.(...words).then(
    (result) => result ?? "done",
    (error: unknown) => (error as Error).constructor.name,
  );
  console.log(JSON.stringify(answer));
}
process.exit(0);
