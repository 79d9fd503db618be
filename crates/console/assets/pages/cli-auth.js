/** A session token for the command line, which asks for it to be pasted. */
import { post, segment } from "../api.js";
import { html, useState } from "../preact.js";
import { nameOf, useSession } from "../session.js";
import { CopyBox, Page, Submit, useForm } from "../ui.js";

export default function CliAuth() {
  const { me } = useSession();
  const [key, setKey] = useState(null);
  // Made at a click, since any link may lead here.
  const form = useForm({}, async () => setKey((await post(`/users/${segment(me.id)}/keys`)).key));
  if (key) {
    return html`<${Page} title="Your session token"
      lead="Paste it where the command line asks for it, then close this page.">
      <${CopyBox} label="Session token" text=${key} isSecret />
      <p class="help">Whoever has it can do what you can. It is not shown again.</p>
    <//>`;
  }
  return html`<${Page} title="Sign in to the command line"
    lead="You are signed in as ${nameOf(me)} (${me.email}).">
    <form ...${form.props}>
      <${Submit} form=${form} extra=${html`<a href="/">Cancel</a>`}>Show a session token<//>
    </form>
  <//>`;
}
