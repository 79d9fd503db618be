/** A user, with what an administrator can change. */
import { ApiError, del, get, put, segment } from "../api.js";
import { navigate } from "../navigation.js";
import { html, useState } from "../preact.js";
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
  generatePassword,
  loginTypeName,
  roleNames,
  toast,
  useForm,
  useLoad,
} from "../ui.js";

export default function User({ params }) {
  const path = `/users/${segment(params.id)}`;
  const page = useLoad(
    async (signal) => {
      const [user, organizations] = await Promise.all([
        get(path, { signal }).catch(explain),
        get(`${path}/organizations`, { signal }).catch(explain),
      ]);
      return { user, organizations };
    },
    [path],
  );
  const title = page.data ? nameOf(page.data.user) : "User";
  return html`<${Page} title=${title}>
    <p><a href="/users">All people</a></p>
    <${Loaded} from=${page}>${(data) => html`<${Details} ...${data} path=${path}
      onUser=${(user) => page.setData({ ...data, user })} />`}<//>
  <//>`;
}

/** The API responds with 400 or 404 if the user does not exist or may not be read. */
function explain(error) {
  const isMissing = error instanceof ApiError && (error.status === 404 || error.status === 400);
  throw isMissing ? new ApiError(404, "User not found.") : error;
}

function Details({ user, organizations, path, onUser }) {
  const { me, may } = useSession();
  const isSelf = user.id === me.id;
  return html`
    ${isSelf && html`<${Notice} title="This is your account."><p>Manage your password,
      tokens and notifications on the <a href="/settings">Account pages</a>.</p><//>`}
    <${Section} title="Details">
      <dl class="facts">
        <div><dt>E-mail address</dt><dd>${user.email}</dd></div>
        <div><dt>Username</dt><dd>${user.username}</dd></div>
        <div><dt>Status</dt><dd><${Status} status=${user.status} /></dd></div>
        <div>
          <dt>Roles</dt><dd>${roleNames(user.roles)}</dd></div>
        <div><dt>Sign-in method</dt><dd>${loginTypeName(user.login_type)}</dd></div>
        <div><dt>Last seen</dt><dd><${Time} at=${user.last_seen_at} /></dd></div>
        <div><dt>Created</dt><dd><${Time} at=${user.created_at} /></dd></div>
        <div><dt>Organizations</dt><dd>${organizations.map((one, index) => html`${index > 0 && ", "}<a
          key=${one.id} href="/organizations/${segment(one.name)}">${one.display_name || one.name}</a>`)}
          ${organizations.length === 0 && "None"}</dd></div>
      </dl>
    <//>
    ${may.userUpdate && html`<${Profile} user=${user} path=${path} onUser=${onUser} />`}
    ${may.roleAssign && !isSelf && html`<${Roles} user=${user} path=${path} onUser=${onUser} />`}
    ${may.userUpdate && !isSelf && html`<${Access} user=${user} path=${path} onUser=${onUser} />`}
  `;
}

function Profile({ user, path, onUser }) {
  const form = useForm(
    { username: user.username, name: user.name ?? "" },
    async (values) => {
      onUser(await put(`${path}/profile`, values));
      toast("Profile saved.");
    },
    { required: { username: "Enter a username." } },
  );
  return html`<${Section} title="Profile">
    <form ...${form.props}>
      <${TextField} label="Full name" optional autocomplete="off" ...${form.bind("name")} />
      <${TextField} label="Username" autocomplete="off" autocapitalize="none" spellcheck=${false}
        ...${form.bind("username")} />
      <${Submit} form=${form}>Save profile<//>
    </form>
  <//>`;
}

function Roles({ user, path, onUser }) {
  const roles = useLoad((signal) => get("/users/roles", { signal }));
  return html`<${Section} title="Roles" lead="Apply across the deployment, immediately.">
    <${Loaded} from=${roles}>${(list) => html`<${RoleForm} user=${user} path=${path} onUser=${onUser}
      roles=${list.filter((role) => role.name !== "member")} />`}<//>
  <//>`;
}

function RoleForm({ user, roles, path, onUser }) {
  const form = useForm({ roles: user.roles.map((role) => role.name) }, async (values) => {
    onUser(await put(`${path}/roles`, { roles: values.roles }));
    toast("Roles saved.");
  });
  form.bind("roles");
  const mayAssign = roles.some((role) => role.assignable);
  return html`<form ...${form.props}>
    ${roles.map((role) => html`<${Checkbox} key=${role.name} name=${role.name}
      label=${role.display_name || role.name} disabled=${!role.assignable}
      checked=${form.values.roles.includes(role.name)}
      onChange=${(isOn) => form.toggle("roles", role.name, isOn)} />`,
    )}
    ${mayAssign ? html`<${Submit} form=${form}>Save roles<//>` : html`<p
      class="help">Only owners can change roles.</p>`}
  </form>`;
}

function Access({ user, path, onUser }) {
  const { may } = useSession();
  const [dialog, setDialog] = useState(null);
  const close = () => setDialog(null);
  const isSuspended = user.status === "suspended";
  const setStatus = async (verb, result) => {
    onUser(await put(`${path}/status/${verb}`));
    close();
    toast(`${user.username} was ${result}.`);
  };
  const remove = async () => {
    await del(path);
    toast(`${user.username} was deleted.`);
    navigate("/users");
  };
  return html`<${Section} title="Access" danger>
    <div class="rows">
      <div class="row"><div><strong>Status</strong>
        <p class="help">${
          isSuspended
            ? "Lets them sign in again and restores their sessions and tokens."
            : "Blocks sign-in, sessions and tokens until you activate the user again."
        }</p></div>
        ${
          isSuspended
            ? html`<${Button} onClick=${() => setDialog("activate")}>Activate user<//>`
            : html`<${Button} onClick=${() => setDialog("suspend")}>Suspend user<//>`
        }
      </div>
      ${
        user.login_type === "password" &&
        html`<div class="row"><div><strong>Password</strong>
        <p class="help">Signs them out everywhere and revokes their tokens.</p></div>
        <${Button} onClick=${() => setDialog("password")}>Reset password<//></div>`
      }
      ${
        may.userDelete &&
        html`<div class="row"><div><strong>Deletion</strong>
        <p class="help">This cannot be undone. The username and e-mail address can be reused.</p></div>
        <${Button} kind="danger" onClick=${() => setDialog("delete")}>Delete user<//></div>`
      }
    </div>
    ${
      dialog === "suspend" &&
      html`<${Confirm} title="Suspend ${user.username}?" action="Suspend user"
        onConfirm=${() => setStatus("suspend", "suspended")} onClose=${close}>
      <p>Sessions and tokens stop working until an administrator activates the user again.</p><//>`
    }
    ${
      dialog === "activate" &&
      html`<${Confirm} title="Activate ${user.username}?" action="Activate user"
        onConfirm=${() => setStatus("activate", "activated")} onClose=${close}>
      <p>Sessions and tokens that have not expired work again.</p><//>`
    }
    ${dialog === "password" && html`<${ResetPassword} user=${user} path=${path} onClose=${close} />`}
    ${
      dialog === "delete" &&
      html`<${Confirm} title="Delete ${user.username}?" action="Delete user" typed=${user.username}
        onConfirm=${remove} onClose=${close}>
      <p>${nameOf(user)} loses access immediately and permanently.</p><//>`
    }
  <//>`;
}

function ResetPassword({ user, path, onClose }) {
  const form = useForm(
    { password: "" },
    async (values) => {
      await put(`${path}/password`, values);
      onClose();
      toast(`The password of ${user.username} was reset.`);
    },
    { required: { password: "Enter a new password." } },
  );
  return html`<${Dialog} title="Reset password of ${user.username}" onClose=${onClose}>
    <form ...${form.props}>
      <${PasswordField} label="New password" autocomplete="new-password" autofocus
        ...${form.bind("password")} />
      <p><${Button} onClick=${() => form.set("password", generatePassword())}>Generate password<//></p>
      <p class="help">Share it securely. Usher does not send it.</p>
      <${Submit} form=${form} extra=${html`<${Button} onClick=${onClose}>Cancel<//>`}>Reset password<//>
    </form>
  <//>`;
}
