/** GitHub's device flow: shows the code and polls until it has been entered. */
import { get } from "../api.js";
import { navigate } from "../navigation.js";
import { ownPath, withQuery } from "../paths.js";
import { html, useEffect, useState } from "../preact.js";
import { CopyBox, Loaded, Loading, Notice, Page, useLoad } from "../ui.js";

/** How much longer to wait after a `slow_down` error (RFC 8628, 3.5). */
const SLOWER_SECONDS = 5;

/** Messages for GitHub's final errors. */
const MESSAGES = {
  access_denied: "You declined at GitHub.",
  expired_token: "The code has expired.",
};

export default function Device({ query }) {
  const state = query.get("state");
  useEffect(() => {
    if (!state) {
      navigate("/login", { replace: true });
    }
  }, [state]);
  return state ? html`<${SignIn} state=${state} />` : null;
}

function SignIn({ state }) {
  const device = useLoad((signal) => get("/users/oauth2/github/device", { quiet: true, signal }));
  return html`<${Page} title="Sign in with GitHub">
    <${Loaded} from=${device}>${(loaded) => html`<${Polling} device=${loaded} state=${state} />`}<//>
    <p class="help"><a href="/login">Use another sign-in method</a></p>
  <//>`;
}

function Polling({ device, state }) {
  const [failure, setFailure] = useState(null);
  useEffect(() => {
    let timer;
    let seconds = device.interval || SLOWER_SECONDS;
    const poll = async () => {
      const path = withQuery("/users/oauth2/github/callback", { code: device.device_code, state });
      try {
        const { redirect_url: target } = await get(path, { quiet: true });
        location.assign(ownPath(target));
        return;
      } catch (error) {
        if (error.detail === "slow_down") {
          seconds += SLOWER_SECONDS;
        } else if (error.detail !== "authorization_pending" && error.status !== 0) {
          setFailure(error);
          return;
        }
      }
      timer = setTimeout(poll, seconds * 1000);
    };
    timer = setTimeout(poll, seconds * 1000);
    return () => clearTimeout(timer);
  }, [device]);
  if (failure) {
    const message = MESSAGES[failure.detail];
    return html`<${Notice} kind="error"
      title=${message ?? failure.message}>${!message && html`<p>${failure.detail}</p>`}<p><a
      href="/login">Start again</a></p><//>`;
  }
  return html`
    <ol class="steps">
      <li><${CopyBox} label="Copy this code" text=${device.user_code} /></li>
      <li>${
        isSecure(device.verification_uri)
          ? html`<a class="button primary" href=${device.verification_uri} target="_blank"
            rel="noreferrer">Open GitHub</a>`
          : html`Open <code>${device.verification_uri}</code>`
      } and enter it there.</li>
    </ol>
    <${Loading} what="Waiting for GitHub…" />
  `;
}

const isSecure = (text) => /^https:\/\//.test(text ?? "");
