// oauth4webapi, as its own examples use it: a public client that finds the server by discovery.

import * as oauth from "oauth4webapi";
import { given, live, signIn } from "./story.mjs";

const onLoopback = { [oauth.allowInsecureRequests]: true };
const app = { client_id: "app" };

async function discover(url) {
  const issuer = new URL(url);
  const answer = await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...onLoopback });
  return oauth.processDiscoveryResponse(issuer, answer);
}

async function introspect(server, credential, token) {
  const { id: client_id, secret } = credential;
  const asked = oauth.ClientSecretBasic(secret);
  const answer = await oauth.introspectionRequest(server, { client_id }, asked, token, onLoopback);
  return oauth.processIntrospectionResponse(server, { client_id }, answer);
}

const client = {
  async refresh(refreshToken, url) {
    const server = await discover(url);
    const answer = await oauth.refreshTokenGrantRequest(
      server, app, oauth.None(), refreshToken, onLoopback,
    );
    return oauth.processRefreshTokenResponse(server, app, answer);
  },
  async call(accessToken) {
    const address = new URL(`${given.url}/users/me`);
    const answer = await oauth.protectedResourceRequest(
      accessToken, "GET", address, undefined, undefined, onLoopback,
    );
    return (await answer.json()).username;
  },
  async revoke(token) {
    const server = await discover(given.url);
    const answer = await oauth.revocationRequest(server, app, oauth.None(), token, onLoopback);
    return oauth.processRevocationResponse(answer);
  },
  codeOf(error) {
    if (error instanceof oauth.ResponseBodyError) return error.error;
    if (error instanceof oauth.WWWAuthenticateChallengeError) {
      return error.cause[0].parameters.error;
    }
    throw error;
  },
};

const told = await live(client);
const server = await discover(given.url);
const { access_token } = await signIn();
told.introspected = (await introspect(server, given.service, access_token)).active;
const stranger = { id: "stranger", secret: "made up" };
told["introspected by a stranger"] = await introspect(server, stranger, access_token).catch(
  async (error) => (await error.response.json()).error,
);
console.log(JSON.stringify(told));
