// A certified OpenID provider (https://openid.net/certification/) for the conformance tests.
// It prints its issuer, reads the redirect URI from standard input, and prints "ready". It
// exits when its standard input is closed.

import { createServer } from "node:http";
import { createInterface } from "node:readline";
import Provider from "oidc-provider";

// Short, so that access tokens expire during the test.
const ACCESS_TOKEN_LIFETIME_SECONDS = 2;

const server = createServer();
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const issuer = `http://127.0.0.1:${server.address().port}`;
console.log(issuer);

const input = createInterface({ input: process.stdin });
input.once("line", (redirectUri) => {
  server.on("request", provider(redirectUri.trim()).callback());
  console.log("ready");
});
input.on("close", () => process.exit());

function provider(redirectUri) {
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: "usher",
        client_secret: "a secret+of/ours:%",
        redirect_uris: [redirectUri],
        grant_types: ["authorization_code", "refresh_token"],
        response_types: ["code"],
      },
    ],
    claims: {
      openid: ["sub"],
      email: ["email", "email_verified"],
      profile: ["name", "preferred_username", "picture"],
    },
    cookies: { keys: ["a key that signs cookies of this test"] },
    features: { devInteractions: { enabled: true } },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({
        sub: id,
        email: `${id}@example.com`,
        email_verified: !id.startsWith("unverified"),
        name: `${id} of the provider`,
        preferred_username: id,
      }),
    }),
    issueRefreshToken: () => true,
    pkce: { required: () => true },
    rotateRefreshToken: true,
    ttl: { AccessToken: ACCESS_TOKEN_LIFETIME_SECONDS },
  });
  provider.on("server_error", (_, error) => console.error(error));
  provider.on("grant.error", (_, error) => console.error(error.message, error.error_detail));
  return provider;
}
