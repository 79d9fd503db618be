//! Rendering of messages from their templates.
//!
//! Templates are Jinja, with the variables `labels`, `user_name`, `user_username`, `user_email`
//! and `base_url`; a missing label is empty. Templates come from the database and are trusted.
//! Values are not, and are escaped for the context of each text (`escape.rs`).

use std::collections::BTreeMap;

use minijinja::{Environment, Output, State, Value};
use serde::Deserialize;
use url::Url;
use usher_domain::notification::TemplateKind;
use usher_store::{OutboxMessage, RenderedNotification};

use crate::{Action, Notification, Recipient, escape, markdown};

/// The maximum number of steps of a template.
const FUEL: u64 = 50_000;

/// Why a message could not be rendered. Does not contain values.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenderError {
    #[error("invalid template, line {line}: {kind}")]
    Template {
        kind: minijinja::ErrorKind,
        line: usize,
    },
    #[error("the template's actions must be an array of objects with a label and a url")]
    Actions,
}

/// Renders messages, with an environment for each escaping rule.
pub(crate) struct Renderer {
    verbatim: Environment<'static>,
    line: Environment<'static>,
    markdown: Environment<'static>,
    markdown_lines: Environment<'static>,
    url: Environment<'static>,
    base_url: Url,
}

impl Renderer {
    pub(crate) fn new(base_url: Url) -> Self {
        Self {
            verbatim: environment(escape::verbatim),
            line: environment(escape::line),
            markdown: environment(escape::markdown),
            markdown_lines: environment(escape::markdown_lines),
            url: environment(escape::url),
            base_url,
        }
    }

    /// Renders the message for the inbox. Custom messages are not escaped.
    pub(crate) fn inbox(
        &self,
        message: &OutboxMessage,
    ) -> Result<RenderedNotification, RenderError> {
        let values = self.values(message);
        let template = &message.template;
        let (title, content) = match template.kind {
            TemplateKind::System => (
                escape::line(&render(&self.line, &template.title_template, &values)?),
                render(&self.markdown, &template.body_template, &values)?,
            ),
            TemplateKind::Custom => (
                render(&self.verbatim, &template.title_template, &values)?,
                render(&self.verbatim, &template.body_template, &values)?,
            ),
        };
        let actions = self.actions(message, &values)?;
        Ok(RenderedNotification {
            title,
            content,
            actions: actions
                .into_iter()
                .map(|action| (action.label, action.url))
                .collect(),
        })
    }

    /// Renders the message for dispatchers.
    pub(crate) fn notification(
        &self,
        message: &OutboxMessage,
    ) -> Result<Notification, RenderError> {
        let template = &message.template;
        let values = self.values(message);
        let body = match template.kind {
            TemplateKind::System => &self.markdown,
            TemplateKind::Custom => &self.markdown_lines,
        };
        let title = render(&self.line, &template.title_template, &values)?;
        let title_markdown = render(&self.markdown, &template.title_template, &values)?;
        let body_markdown = render(body, &template.body_template, &values)?;
        Ok(Notification {
            id: message.id,
            template_id: template.id,
            template_name: template.name.clone(),
            recipient: Recipient {
                user_id: message.user_id,
                username: message.username.clone(),
                name: escape::line(display_name(message)),
                email: message.email.clone(),
            },
            labels: message.labels.clone(),
            targets: message.targets.clone(),
            created_at: message.created_at,
            // Line breaks in the template must not get into a mail header either.
            title: escape::line(&title),
            title_markdown: escape::line(&title_markdown),
            body: markdown::to_plain(&body_markdown, &self.base_url),
            body_html: markdown::to_html(&body_markdown, &self.base_url),
            body_markdown,
            actions: self.actions(message, &values)?,
        })
    }

    /// The variables of templates.
    fn values(&self, message: &OutboxMessage) -> Value {
        let labels: BTreeMap<String, String> = message.labels.iter().cloned().collect();
        let base_url = self.base_url.as_str().trim_end_matches('/');
        minijinja::context! {
            labels => Value::from(labels),
            user_name => display_name(message),
            user_username => message.username.as_str(),
            user_email => message.email.as_str(),
            base_url => Value::from_safe_string(base_url.to_owned()),
        }
    }

    /// The buttons with an `http` or `https` URL.
    fn actions(&self, message: &OutboxMessage, values: &Value) -> Result<Vec<Action>, RenderError> {
        #[derive(Deserialize)]
        struct Template {
            label: String,
            url: String,
        }
        let templates = Option::<Vec<Template>>::deserialize(&message.template.actions)
            .map_err(|_| RenderError::Actions)?;
        let mut actions = Vec::new();
        for template in templates.unwrap_or_default() {
            let url = render(&self.url, &template.url, values)?;
            if let Some(url) = markdown::link(&url, &self.base_url) {
                actions.push(Action {
                    label: render(&self.line, &template.label, values)?,
                    url: url.into(),
                });
            }
        }
        Ok(actions)
    }
}

/// The display name of the recipient, or their username.
fn display_name(message: &OutboxMessage) -> &str {
    match message.name.trim() {
        "" => &message.username,
        name => name,
    }
}

/// An environment whose templates escape values with `escape`.
fn environment(escape_value: fn(&str) -> String) -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_fuel(Some(FUEL));
    environment.add_filter("urlencode", |value: String| {
        Value::from_safe_string(escape::url(&value))
    });
    environment.set_formatter(
        move |out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value| {
            let text = value.to_string();
            if value.is_undefined() || value.is_none() {
                return Ok(());
            }
            if value.is_safe() {
                out.write_str(&text)?;
            } else {
                out.write_str(&escape_value(&text))?;
            }
            Ok(())
        },
    );
    environment
}

fn render(
    environment: &Environment<'_>,
    template: &str,
    values: &Value,
) -> Result<String, RenderError> {
    environment
        .render_str(template, values)
        .map_err(|error| RenderError::Template {
            kind: error.kind(),
            line: error.line().unwrap_or(1),
        })
}

#[cfg(test)]
mod tests;
