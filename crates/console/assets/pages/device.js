/** Signing in with GitHub on another device: shows the code, and asks until it was typed. */
import { get } from "../api.js";
import { ownPath, withQuery } from "../paths.js";
import { html, useEffect, useState } from "../preact.js";
import { navigate } from "../router.js";
import { CopyBox, Loaded, Loading, Notice, Page, useLoad } from "../ui.js";

/** By how much to slow down when told to; RFC 8628, 3.5. */
const SLOWER_SECONDS = 5;

/** What GitHub says instead of letting somebody in, in words for people. */
const ENDS = {
  access_denied: "You said no at GitHub, so you are not signed in.",
  expired_token: "The code was not typed in time.",
};

export default function Device({ query }) {
  const state = query.get("state");
  useEffect(() => {
    if (!state) {
      navigate("/login", { replace: true });
    }
  }, [state]);
  return state ? html`<${Begun} state=${state} />` : null;
}

function Begun({ state }) {
  const device = useLoad((signal) => get("/users/oauth2/github/device", { quiet: true, signal }));
  return html`<${Page} title="Sign in with GitHub">
    <${Loaded} from=${device}>${(known) => html`<${Waiting} device=${known} state=${state} />`}<//>
    <p class="help"><a href="/login">Sign in another way</a></p>
  <//>`;
}

function Waiting({ device, state }) {
  const [failure, setFailure] = useState(null);
  useEffect(() => {
    let timer;
    let seconds = device.interval || SLOWER_SECONDS;
    const ask = async () => {
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
      timer = setTimeout(ask, seconds * 1000);
    };
    timer = setTimeout(ask, seconds * 1000);
    return () => clearTimeout(timer);
  }, [device]);
  if (failure) {
    const words = ENDS[failure.detail];
    return html`<${Notice} kind="error"
      title=${words ?? failure.message}>${!words && html`<p>${failure.detail}</p>`}<p><a
      href="/login">Begin again</a></p><//>`;
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
