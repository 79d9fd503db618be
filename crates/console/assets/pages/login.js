/** Signing in, by whatever ways the deployment has. */
import { get } from "../api.js";
import { ownPath, withQuery } from "../paths.js";
import { html } from "../preact.js";
import { nameOf, useSession } from "../session.js";
import { SignInForm } from "../sign-in-form.js";
import { Loaded, Notice, Page, useLoad } from "../ui.js";

export default function Login({ query }) {
  const methods = useLoad((signal) => get("/users/authmethods", { signal }));
  const redirect = ownPath(query.get("redirect"));
  const message = query.get("message");
  const session = useSession();
  return html`<${Page} title="Sign in">
    ${message && html`<${Notice} kind="warning" title=${message} />`}
    ${session && html`<p>You are signed in as ${nameOf(session.me)}. <a href=${redirect}>Go on</a></p>`}
    <${Loaded} from=${methods}>${(known) => html`<${Ways} methods=${known} redirect=${redirect} />`}<//>
  <//>`;
}

function Ways({ methods, redirect }) {
  const { password, github, oidc, terms_of_service_url: terms } = methods;
  const start = (path) => withQuery(`/api/v2/users/${path}/callback`, { redirect });
  const hasProviders = github.enabled || oidc.enabled;
  return html`
    ${oidc.enabled && html`<a class="button wide"
      href=${start("oidc")}>${oidc.signInText || "OpenID Connect"}</a>`}
    ${github.enabled && html`<a class="button wide" href=${start("oauth2/github")}>GitHub</a>`}
    ${hasProviders && password.enabled && html`<p class="or"><span>or</span></p>`}
    ${
      password.enabled &&
      html`
      <${SignInForm} onSignedIn=${() => location.assign(redirect)}
        extra=${html`<a href="/reset-password">Forgot your password?</a>`} />
    `
    }
    ${!hasProviders && !password.enabled && html`<${Notice} kind="warning"
      title="Nobody can sign in here: the operator has turned off all ways." />`}
    ${isWebAddress(terms) && html`<p class="help">By signing in you agree to the <a href=${terms}
      rel="noreferrer">terms of service</a>.</p>`}
  `;
}

function isWebAddress(text) {
  return /^https?:\/\//.test(text ?? "");
}
