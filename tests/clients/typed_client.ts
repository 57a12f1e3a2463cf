// Signs in, refreshes and signs out through a client whose types come from the API description.
// Usage: node typed_client.js BASE_URL USERNAME PASSWORD

import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Pair = components["schemas"]["AuthxPair"];

const [baseUrl, username, password] = process.argv.slice(2) as [string, string, string];
const client = createClient<paths>({ baseUrl });

function bearer(pair: Pair) {
  return { headers: { Authorization: `Bearer ${pair.access_token}` } };
}

async function refresh(pair: Pair) {
  return client.POST("/users/token", {
    body: { grant_type: "refresh_token", refresh_token: pair.refresh_token },
  });
}

// @ts-expect-error -- the types have teeth: this line is an error, or the file does not compile.
void (() => client.POST("/users/login", { body: { user: username } }));

const device = { installation_id: "typed", name: "Typed client" };
const login = await client.POST("/users/login", { body: { username, password, device } });
if (login.error) throw new Error(login.error.error);
const first: Pair = login.data;

const refreshed = await refresh(first);
if (refreshed.error) throw new Error(refreshed.error.error);
const second: Pair = refreshed.data;

const me = await client.GET("/users/me", bearer(second));
const logout = await client.POST("/users/logout", bearer(second));
const dead = await refresh(second);

console.log(
  JSON.stringify({
    rotated: first.refresh_token !== second.refresh_token,
    username: me.data?.username,
    device: me.data?.device.name,
    logout: logout.response.status,
    after: dead.error?.error,
  }),
);
