/** Requests a passcode for a forgotten password. */
import { post } from "../api.js";
import { withQuery } from "../paths.js";
import { html, useState } from "../preact.js";
import { Notice, Page, Submit, TextField, useForm } from "../ui.js";

export default function ResetPassword() {
  const [sentTo, setSentTo] = useState(null);
  const form = useForm(
    { email: "" },
    async (values) => {
      await post("/users/otp/request", values, { quiet: true });
      setSentTo(values.email);
    },
    { required: { email: "Enter your e-mail address." } },
  );
  if (sentTo) {
    return html`<${Page} title="Check your e-mail">
      <${Notice} kind="success"
        title="If ${sentTo} belongs to an account, we sent a passcode to it. It works once, within 20 minutes." />
      <p><a class="button primary"
        href=${withQuery("/reset-password/change", { email: sentTo })}>Enter passcode</a></p>
    <//>`;
  }
  return html`<${Page} title="Forgot your password?"
    lead="We'll e-mail you a passcode to set a new password.">
    <form ...${form.props}>
      <${TextField} label="E-mail address" type="email" autocomplete="username" autofocus
        ...${form.bind("email")} />
      <${Submit} form=${form} extra=${html`<a href="/login">Back to sign-in</a>`}>Send passcode<//>
    </form>
  <//>`;
}
