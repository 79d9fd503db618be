/** A forgotten password: chooses a new one with the passcode. */
import { post } from "../api.js";
import { withQuery } from "../paths.js";
import { html } from "../preact.js";
import { navigate } from "../router.js";
import { Page, PasswordField, Submit, TextField, useForm } from "../ui.js";

export default function ChangePassword({ query }) {
  const initial = { email: query.get("email") ?? "", one_time_passcode: "", password: "" };
  const form = useForm(initial, async (values) => {
    const one_time_passcode = values.one_time_passcode.trim();
    await post("/users/otp/change-password", { ...values, one_time_passcode }, { quiet: true });
    navigate(
      withQuery("/login", { message: "Your password is changed. Sign in with the new one." }),
    );
  });
  return html`<${Page} title="Choose a new password">
    <form ...${form.props}>
      <${TextField} label="E-mail address" type="email" autocomplete="username" ...${form.bind("email")} />
      <${TextField} label="Passcode" help="From the mail." autocomplete="one-time-code" spellcheck=${false}
        ...${form.bind("one_time_passcode")} />
      <${PasswordField} label="New password" autocomplete="new-password" ...${form.bind("password")} />
      <${Submit} form=${form} extra=${html`<a
        href="/reset-password">Send another passcode</a>`}>Change the password<//>
    </form>
  <//>`;
}
