// axios with an interceptor as many apps have it: the first of many 401s refreshes, and each call
// is made again.

import axios from "axios";
import { given, live } from "./story.mjs";

function apiOf(stored) {
  const api = axios.create({ baseURL: given.url });
  let refreshing = null;
  api.interceptors.request.use((config) => {
    config.headers.authorization = `Bearer ${stored.pair.access_token}`;
    return config;
  });
  api.interceptors.response.use(undefined, async (error) => {
    const { config, response } = error;
    if (response?.status !== 401 || config.isSecondTry) throw error;
    refreshing ??= client.refresh(stored.pair.refresh_token, given.url);
    stored.pair = await refreshing;
    return api.request({ ...config, isSecondTry: true });
  });
  return api;
}

const client = {
  async callAll(pair, count) {
    const stored = { pair };
    const api = apiOf(stored);
    const calls = Array.from({ length: count }, () => api.get("/users/me"));
    const answers = await Promise.all(calls);
    return answers.map(({ data }) => ({ username: data.username, pair: stored.pair }));
  },
  async refresh(refreshToken, url) {
    const body = new URLSearchParams({ grant_type: "refresh_token", refresh_token: refreshToken });
    return (await axios.post(`${url}/users/token`, body)).data;
  },
  async call(accessToken) {
    const headers = { authorization: `Bearer ${accessToken}` };
    return (await axios.get(`${given.url}/users/me`, { headers })).data.username;
  },
  async revoke(token) {
    return axios.post(`${given.url}/users/revoke`, new URLSearchParams({ token }));
  },
  codeOf(error) {
    return error.response.data.error;
  },
};

console.log(JSON.stringify(await live(client)));
