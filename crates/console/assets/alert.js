/**
 * Whether the Tasks page warns that no task notification is enabled. They are off by default,
 * which many users do not know.
 */

const TASK_GROUP = "Task Events";

/** @typedef {{ id: string, group: string, enabled_by_default: boolean }} Template */
/** @typedef {{ id: string, disabled: boolean }} Choice a user's preference for a template */

/**
 * Whether a template is off: by the user's preference, or else by default.
 *
 * @param {Template} template
 * @param {Choice[]} choices
 */
export function isDisabled(template, choices) {
  const choice = choices.find(({ id }) => id === template.id);
  return choice ? choice.disabled : !template.enabled_by_default;
}

/**
 * Whether to show the warning. Data that is missing, or still loading, is `undefined`: without
 * templates there is no warning, without choices the defaults apply, and without preferences
 * the warning counts as not dismissed.
 *
 * @param {{
 *   templates?: Template[],
 *   choices?: Choice[],
 *   preferences?: { task_notification_alert_dismissed: boolean },
 * }} data
 */
export function warns({ templates, choices = [], preferences }) {
  if (!templates || preferences?.task_notification_alert_dismissed === true) {
    return false;
  }
  return templates.filter(isTaskTemplate).every((template) => isDisabled(template, choices));
}

/**
 * Whether a change enables a task notification, by its own switch or its group's. That resets
 * the dismissal, so the user is warned again once all of them are off.
 *
 * @param {Template[]} templates
 * @param {Record<string, boolean>} disabled the new state by template ID
 */
export function clearsDismissal(templates, disabled) {
  return templates.some(
    (template) => isTaskTemplate(template) && disabled[template.id] === false,
  );
}

function isTaskTemplate({ group }) {
  return group === TASK_GROUP;
}
