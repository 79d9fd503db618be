//! Tests of the handlers on mock stores: authorization, status codes, validation, order
//! of checks, and arguments of store calls. Database behavior is not simulated.
//!
//! One file for each resource. To test a new handler, set expectations on the stores of a
//! [`app::TestApp`] and send it a request.

mod anything;
mod app;
mod audit;
mod authcheck;
mod authentication;
mod bodies;
mod csrf;
mod deployment;
mod faults;
mod first_user;
mod headers;
mod keys;
mod limits;
mod login;
mod logout;
mod logs;
mod matrix;
mod member_roles;
mod members;
mod notifications_inbox;
mod notifications_messages;
mod notifications_preferences;
mod notifications_settings;
mod notifications_templates;
mod operations;
mod organizations;
mod pages;
mod passcode;
mod people;
mod permissions;
mod providers;
mod providers_convert;
mod providers_finish;
mod providers_github_device;
mod providers_renewal;
mod providers_start;
mod public;
mod refused_credentials;
mod routing;
mod scopes;
mod sign_in_questions;
mod stores;
mod tokens;
mod users_appearance;
mod users_autofill;
mod users_convert_login;
mod users_create;
mod users_delete;
mod users_list;
mod users_login_type;
mod users_organizations;
mod users_password;
mod users_preferences;
mod users_profile;
mod users_read;
mod users_roles;
mod users_ssh_key;
mod users_status;
