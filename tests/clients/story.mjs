// What an app lives through with its client library; each client brings the same few functions:
// refresh(refreshToken, url), call(accessToken) -> user name, revoke(token), codeOf(error); one that
// refreshes by itself also callAll(pair, count) -> [{username, pair}].

export const given = JSON.parse(process.argv[2]);

const CALLS = 20;

export async function signIn() {
  const answer = await fetch(`${given.url}/users/login`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ username: given.username, password: given.password }),
  });
  if (answer.status !== 200) throw new Error(await answer.text());
  return answer.json();
}

async function codeOfRefusal(client, request) {
  try {
    await request;
  } catch (error) {
    return client.codeOf(error);
  }
  return "no refusal";
}

// Several parts of an app that share nothing but what it stored: each refreshes, and calls again.
function callAllWithoutSingleFlight(stored, count) {
  const callOnce = async () => {
    const refused = await codeOfRefusal(this, this.call(stored.access_token));
    if (refused !== "invalid_token") throw new Error(refused);
    const pair = await this.refresh(stored.refresh_token, given.url);
    return { username: await this.call(pair.access_token), pair };
  };
  return Promise.all(Array.from({ length: count }, callOnce));
}

export async function live(client) {
  const told = {};
  const first = await signIn();
  await client.call(first.access_token);
  await new Promise((done) => setTimeout(done, given.lifetime + 100));
  told.expired = await codeOfRefusal(client, client.call(first.access_token));

  const callAll = client.callAll ?? callAllWithoutSingleFlight;
  const answers = await callAll.call(client, first, CALLS);
  const answered = answers.filter(({ username }) => username === given.username).length;
  const refreshTokens = new Set(answers.map(({ pair }) => pair.refresh_token));
  told["parallel calls"] = `${answered} answered, ${refreshTokens.size} new refresh token`;

  const [refreshToken] = refreshTokens;
  const lost = await client.refresh(refreshToken, given.lossyURL).catch(() => null);
  const again = await client.refresh(refreshToken, given.lossyURL);
  const onceMore = await client.refresh(refreshToken, given.url);
  await client.call(again.access_token);
  const same = lost === null && again.refresh_token === onceMore.refresh_token;
  told["lost answer"] = same ? "the same pair" : "another pair";

  // The grace period is shorter than an access token lives.
  await new Promise((done) => setTimeout(done, given.lifetime + 100));
  const newest = await client.refresh(again.refresh_token, given.url);
  const replay = client.refresh(first.refresh_token, given.url);
  told.replayed = await codeOfRefusal(client, replay);
  told["call after the replay"] = await codeOfRefusal(client, client.call(newest.access_token));
  const late = client.refresh(newest.refresh_token, given.url);
  told["refresh after the replay"] = await codeOfRefusal(client, late);

  const second = await signIn();
  await client.revoke(second.refresh_token);
  told["call after the revocation"] = await codeOfRefusal(client, client.call(second.access_token));
  const revoked = client.refresh(second.refresh_token, given.url);
  told["refresh after the revocation"] = await codeOfRefusal(client, revoked);
  return told;
}
