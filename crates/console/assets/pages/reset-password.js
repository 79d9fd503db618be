/** A forgotten password: asks for a passcode by mail. */
import { post } from "../api.js";
import { withQuery } from "../paths.js";
import { html, useState } from "../preact.js";
import { Notice, Page, Submit, TextField, useForm } from "../ui.js";

export default function ResetPassword() {
  const [sentTo, setSentTo] = useState(null);
  const form = useForm({ email: "" }, async (values) => {
    await post("/users/otp/request", values, { quiet: true });
    setSentTo(values.email);
  });
  if (sentTo) {
    return html`<${Page} title="Look into your mail">
      <${Notice} kind="success"
        title="If somebody here has the address ${sentTo}, a passcode is on its way. It works once, for 20 minutes." />
      <p><a class="button primary"
        href=${withQuery("/reset-password/change", { email: sentTo })}>I have the passcode</a></p>
    <//>`;
  }
  return html`<${Page} title="Forgot your password?"
    lead="We send you a passcode with which you choose a new one.">
    <form ...${form.props}>
      <${TextField} label="E-mail address" type="email" autocomplete="username" autofocus
        ...${form.bind("email")} />
      <${Submit} form=${form} extra=${html`<a href="/login">Back</a>`}>Send a passcode<//>
    </form>
  <//>`;
}
