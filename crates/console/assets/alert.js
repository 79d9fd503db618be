/**
 * Whether the Tasks page warns that nobody will be told about tasks. Task notifications are
 * off until they are turned on, and many do not know.
 */

const TASK_GROUP = "Task Events";

/** @typedef {{ id: string, group: string, enabled_by_default: boolean }} Template */
/** @typedef {{ id: string, disabled: boolean }} Choice what somebody chose for a template */

/**
 * Whether a template is off for somebody: as they chose, or else as it is by default.
 *
 * @param {Template} template
 * @param {Choice[]} choices
 */
export function isDisabled(template, choices) {
  const choice = choices.find(({ id }) => id === template.id);
  return choice ? choice.disabled : !template.enabled_by_default;
}

/**
 * Whether to warn. What has not arrived yet, or could not be had, is `undefined`: without
 * templates there is no warning, without choices there are none, and without preferences
 * nothing was dismissed.
 *
 * @param {{
 *   templates?: Template[],
 *   choices?: Choice[],
 *   preferences?: { task_notification_alert_dismissed: boolean },
 * }} known
 */
export function warns({ templates, choices = [], preferences }) {
  if (!templates || preferences?.task_notification_alert_dismissed === true) {
    return false;
  }
  return templates.filter(isOfTasks).every((template) => isDisabled(template, choices));
}

/**
 * Whether a change turns a task notification on, be it by its own switch or by that of its
 * group: who does that wants to be warned again when all are off again.
 *
 * @param {Template[]} templates
 * @param {Record<string, boolean>} disabled the new state by the identifier of the template
 */
export function clearsDismissal(templates, disabled) {
  return templates.some((template) => isOfTasks(template) && disabled[template.id] === false);
}

function isOfTasks({ group }) {
  return group === TASK_GROUP;
}
