/** Sign-in with a password: the form of the sign-in page, and the dialog for an expired session. */
import { get, post } from "./api.js";
import { html } from "./preact.js";
import { Button, Dialog, PasswordField, Submit, TextField, toast, useForm } from "./ui.js";

/** @param {{ email?: string, onSignedIn: () => void }} props */
export function SignInForm({ email = "", onSignedIn, extra }) {
  const form = useForm(
    { email, password: "" },
    async (values) => {
      await post("/users/login", values, { quiet: true });
      await onSignedIn();
    },
    { required: { email: "Enter your e-mail address.", password: "Enter your password." } },
  );
  return html`<form ...${form.props}>
    <${TextField} label="E-mail address" type="email" autocomplete="username" required autofocus=${!email}
      ...${form.bind("email")} />
    <${PasswordField} label="Password" autocomplete="current-password" required autofocus=${Boolean(email)}
      ...${form.bind("password")} />
    <${Submit} form=${form} extra=${extra}>Sign in<//>
  </form>`;
}

/** Asks for the password above the current page, so that unsaved changes survive. */
export function SignInAgain({ me, onDone }) {
  const onSignedIn = async () => {
    const user = await get("/users/me", { quiet: true });
    if (user.id !== me.id) {
      // Another user must not save these changes.
      location.assign("/");
      return;
    }
    toast("You are signed in again.");
    onDone();
  };
  return html`<${Dialog} title="Sign in again" onClose=${onDone}>
    <p>Your session has expired. Your changes are still here: sign in, then save again.</p>
    <${SignInForm} email=${me.email} extra=${html`<${Button} onClick=${onDone}>Not now<//>`}
      onSignedIn=${onSignedIn} />
    <p class="help"><a href="/login" target="_blank">Use another sign-in method in a new tab</a></p>
  <//>`;
}
