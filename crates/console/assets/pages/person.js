/** One person, as an administrator sees them. */
import { ApiError, del, get, put, segment } from "../api.js";
import { html, useState } from "../preact.js";
import { navigate } from "../router.js";
import { nameOf, useSession } from "../session.js";
import {
  Button,
  Checkbox,
  Confirm,
  Dialog,
  Loaded,
  Notice,
  Page,
  PasswordField,
  Section,
  Status,
  Submit,
  TextField,
  Time,
  makePassword,
  toast,
  useForm,
  useLoad,
} from "../ui.js";

export default function Person({ params }) {
  const path = `/users/${segment(params.id)}`;
  const person = useLoad(
    async (signal) => {
      const [user, organizations] = await Promise.all([
        get(path, { signal }).catch(explain),
        get(`${path}/organizations`, { signal }).catch(explain),
      ]);
      return { user, organizations };
    },
    [path],
  );
  const title = person.data ? nameOf(person.data.user) : "Person";
  return html`<${Page} title=${title}>
    <p><a href="/users">All people</a></p>
    <${Loaded} from=${person}>${(data) => html`<${Details} ...${data} path=${path}
      onUser=${(user) => person.setData({ ...data, user })} />`}<//>
  <//>`;
}

/** Whom one may not see, and a word that is no name, are nobody too. */
function explain(error) {
  const isNobody = error instanceof ApiError && (error.status === 404 || error.status === 400);
  throw isNobody ? new ApiError(404, "There is nobody with this name.") : error;
}

function Details({ user, organizations, path, onUser }) {
  const { me, may } = useSession();
  const isSelf = user.id === me.id;
  return html`
    ${isSelf && html`<${Notice} title="This is you."><p>Password, tokens and notifications are in <a
      href="/settings">your account</a>.</p><//>`}
    <${Section} title="About">
      <dl class="facts">
        <div><dt>E-mail address</dt><dd>${user.email}</dd></div>
        <div><dt>Username</dt><dd>${user.username}</dd></div>
        <div><dt>Status</dt><dd><${Status} status=${user.status} /></dd></div>
        <div>
          <dt>Roles</dt><dd>${user.roles.map((role) => role.display_name || role.name).join(", ") || "Member"}</dd></div>
        <div><dt>Signs in with</dt><dd>${user.login_type}</dd></div>
        <div><dt>Last seen</dt><dd><${Time} at=${user.last_seen_at} /></dd></div>
        <div><dt>Since</dt><dd><${Time} at=${user.created_at} /></dd></div>
        <div><dt>Organizations</dt><dd>${organizations.map((one, index) => html`${index > 0 && ", "}<a
          key=${one.id} href="/organizations/${segment(one.name)}">${one.display_name || one.name}</a>`)}
          ${organizations.length === 0 && "none"}</dd></div>
      </dl>
    <//>
    ${may.userUpdate && html`<${Profile} user=${user} path=${path} onUser=${onUser} />`}
    ${may.roleAssign && !isSelf && html`<${Roles} user=${user} path=${path} onUser=${onUser} />`}
    ${may.userUpdate && !isSelf && html`<${Access} user=${user} path=${path} onUser=${onUser} />`}
  `;
}

function Profile({ user, path, onUser }) {
  const form = useForm({ username: user.username, name: user.name ?? "" }, async (values) => {
    onUser(await put(`${path}/profile`, values));
    toast("The profile is saved.");
  });
  return html`<${Section} title="Profile">
    <form ...${form.props}>
      <${TextField} label="Full name" optional autocomplete="off" ...${form.bind("name")} />
      <${TextField} label="Username" autocomplete="off" autocapitalize="none" spellcheck=${false}
        ...${form.bind("username")} />
      <${Submit} form=${form}>Save<//>
    </form>
  <//>`;
}

function Roles({ user, path, onUser }) {
  const roles = useLoad((signal) => get("/users/roles", { signal }));
  return html`<${Section} title="Roles" lead="They hold for the whole deployment, from the next call on.">
    <${Loaded} from=${roles}>${(list) => html`<${RoleForm} user=${user} path=${path} onUser=${onUser}
      roles=${list.filter((role) => role.name !== "member")} />`}<//>
  <//>`;
}

function RoleForm({ user, roles, path, onUser }) {
  const form = useForm({ roles: user.roles.map((role) => role.name) }, async (values) => {
    onUser(await put(`${path}/roles`, { roles: values.roles }));
    toast("The roles are saved.");
  });
  form.bind("roles");
  const mayAny = roles.some((role) => role.assignable);
  const toggle = (name, isOn) => {
    const others = form.values.roles.filter((one) => one !== name);
    form.set("roles", isOn ? [...others, name] : others);
  };
  return html`<form ...${form.props}>
    ${roles.map((role) => html`<${Checkbox} key=${role.name} label=${role.display_name || role.name} name=${role.name}
        disabled=${!role.assignable}
      checked=${form.values.roles.includes(role.name)} onChange=${(isOn) => toggle(role.name, isOn)} />`,
    )}
    ${mayAny ? html`<${Submit} form=${form}>Save<//>` : html`<p
      class="help">Only an owner can change them.</p>`}
  </form>`;
}

function Access({ user, path, onUser }) {
  const { may } = useSession();
  const [dialog, setDialog] = useState(null);
  const close = () => setDialog(null);
  const isSuspended = user.status === "suspended";
  const setStatus = async (verb, done) => {
    onUser(await put(`${path}/status/${verb}`));
    close();
    toast(`${user.username} is ${done}.`);
  };
  const remove = async () => {
    await del(path);
    toast(`${user.username} is deleted.`);
    navigate("/users");
  };
  return html`<${Section} title="Access" danger>
    <div class="rows">
      <div class="row"><div><strong>${isSuspended ? "Activate" : "Suspend"}</strong>
        <p class="help">${
          isSuspended
            ? "They can sign in again, and what they had works again."
            : "They cannot sign in, and their sessions and tokens stop working."
        }</p></div>
        ${
          isSuspended
            ? html`<${Button} onClick=${() => setDialog("activate")}>Activate<//>`
            : html`<${Button} onClick=${() => setDialog("suspend")}>Suspend<//>`
        }
      </div>
      ${
        user.login_type === "password" &&
        html`<div class="row"><div><strong>Password</strong>
        <p class="help">A new one ends all their sessions and tokens.</p></div>
        <${Button} onClick=${() => setDialog("password")}>Reset the password<//></div>`
      }
      ${
        may.userDelete &&
        html`<div class="row"><div><strong>Delete</strong>
        <p class="help">Cannot be taken back. The name and the address become free.</p></div>
        <${Button} kind="danger" onClick=${() => setDialog("delete")}>Delete<//></div>`
      }
    </div>
    ${
      dialog === "suspend" &&
      html`<${Confirm} title="Suspend ${user.username}?" action="Suspend"
        onConfirm=${() => setStatus("suspend", "suspended")} onClose=${close}>
      <p>They are signed out everywhere until somebody activates them again.</p><//>`
    }
    ${
      dialog === "activate" &&
      html`<${Confirm} title="Activate ${user.username}?" action="Activate"
        onConfirm=${() => setStatus("activate", "active")} onClose=${close}>
      <p>Sessions and tokens that have not ended meanwhile work again too.</p><//>`
    }
    ${dialog === "password" && html`<${ResetPassword} user=${user} path=${path} onClose=${close} />`}
    ${
      dialog === "delete" &&
      html`<${Confirm} title="Delete ${user.username}?" action="Delete" typed=${user.username}
        onConfirm=${remove} onClose=${close}>
      <p>${nameOf(user)} loses access at once, and for good.</p><//>`
    }
  <//>`;
}

function ResetPassword({ user, path, onClose }) {
  const form = useForm({ password: "" }, async (values) => {
    await put(`${path}/password`, values);
    onClose();
    toast(`${user.username} has a new password.`);
  });
  return html`<${Dialog} title="Reset the password of ${user.username}" onClose=${onClose}>
    <form ...${form.props}>
      <${PasswordField} label="New password" autocomplete="new-password" autofocus
        ...${form.bind("password")} />
      <p><${Button} onClick=${() => form.set("password", makePassword())}>Make up a password<//></p>
      <p class="help">Tell it to ${nameOf(user)} in a safe way; Usher does not.</p>
      <${Submit} form=${form} extra=${html`<${Button} onClick=${onClose}>Cancel<//>`}>Reset the password<//>
    </form>
  <//>`;
}
