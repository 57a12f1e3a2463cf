// axios in an app without single flight: every call that is refused refreshes at once, with whatever
// refresh token is stored, and is repeated once. No idempotency keys.
// Usage: node storm.mjs JSON, see tests/test_refresh_storm.py; asks for "expire" before each round.

import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import axios from "axios";

const given = JSON.parse(process.argv[2]);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

function apiOf(stored) {
  const api = axios.create({ baseURL: given.url, validateStatus: null });
  api.interceptors.request.use((config) => {
    config.headers.authorization = `Bearer ${stored.pair.access_token}`;
    return config;
  });
  api.interceptors.response.use(async (answer) => {
    if (answer.status !== 401 || answer.config.hasRefreshed) return answer;
    const { refresh_token } = stored.pair;
    const body = new URLSearchParams({ grant_type: "refresh_token", refresh_token });
    const config = { validateStatus: null, hasRefreshed: true };
    const refreshed = await axios.post(`${given.url}/users/token`, body, config);
    if (refreshed.status !== 200) return refreshed;
    if (refreshed.data.generation > stored.pair.generation) stored.pair = refreshed.data;
    return api.request({ ...answer.config, hasRefreshed: true });
  });
  return api;
}

// Every other session waits with its later rounds until its old tokens are out of their grace period.
async function round(api, session, number) {
  if (number > 0 && session % 2) await sleep(given.pause);
  const calls = Array.from({ length: given.calls }, () => api.get("/users/me"));
  const answers = await Promise.all(calls);
  return answers.map(({ status, config }) => [config.hasRefreshed === true, status]);
}

const apis = given.pairs.map((pair) => apiOf({ pair }));
const outcomes = [];
for (let number = 0; number < given.rounds; number++) {
  console.log("expire");
  await lines.next();
  outcomes.push(...(await Promise.all(apis.map((api, session) => round(api, session, number)))));
}
console.log(JSON.stringify(outcomes.flat()));
process.exit(0);
