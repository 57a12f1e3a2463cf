// openid-client, as its own examples use it: a public client that finds the server by discovery.

import * as openid from "openid-client";
import { given, live, signIn } from "./story.mjs";

const options = { algorithm: "oauth2", execute: [openid.allowInsecureRequests] };

function discover(url) {
  return openid.discovery(new URL(url), "app", undefined, openid.None(), options);
}

async function introspect(credential, token) {
  const { id, secret } = credential;
  const asked = openid.ClientSecretBasic(secret);
  const server = await openid.discovery(new URL(given.url), id, secret, asked, options);
  return openid.tokenIntrospection(server, token);
}

const client = {
  async refresh(refreshToken, url) {
    return openid.refreshTokenGrant(await discover(url), refreshToken);
  },
  async call(accessToken) {
    const address = new URL(`${given.url}/users/me`);
    const server = await discover(given.url);
    const answer = await openid.fetchProtectedResource(server, accessToken, address, "GET");
    return (await answer.json()).username;
  },
  async revoke(token) {
    return openid.tokenRevocation(await discover(given.url), token);
  },
  codeOf(error) {
    if (error instanceof openid.ResponseBodyError) return error.error;
    if (error instanceof openid.WWWAuthenticateChallengeError) {
      return error.cause[0].parameters.error;
    }
    throw error;
  },
};

const told = await live(client);
const { access_token } = await signIn();
told.introspected = (await introspect(given.service, access_token)).active;
const stranger = { id: "stranger", secret: "made up" };
told["introspected by a stranger"] = await introspect(stranger, access_token).catch(
  async (error) => (await error.response.json()).error,
);
console.log(JSON.stringify(told));
