/** A session token to paste into the command line. */
import { post, segment } from "../api.js";
import { html, useState } from "../preact.js";
import { nameOf, useSession } from "../session.js";
import { CopyBox, Page, Submit, useForm } from "../ui.js";

export default function CliAuth() {
  const { me } = useSession();
  const [key, setKey] = useState(null);
  // Not created before the click, since any link can lead here.
  const form = useForm({}, async () => setKey((await post(`/users/${segment(me.id)}/keys`)).key));
  if (key) {
    return html`<${Page} title="Your session token"
      lead="Paste it into the command line, then close this page.">
      <${CopyBox} label="Session token" text=${key} isSecret />
      <p class="help">Keep it secret: it gives full access to your account. It won't be shown again.</p>
    <//>`;
  }
  return html`<${Page} title="Sign in to the command line"
    lead="You are signed in as ${nameOf(me)} (${me.email}).">
    <form ...${form.props}>
      <${Submit} form=${form} extra=${html`<a href="/">Cancel</a>`}>Create session token<//>
    </form>
  <//>`;
}
