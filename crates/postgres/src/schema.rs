//! diesel's schema of the tables that this crate uses.
//!
//! A test compares it with a migrated database. Enums are text with a check constraint;
//! the row types parse them.

diesel::table! {
    users (id) {
        id -> Uuid,
        email -> Text,
        username -> Text,
        name -> Text,
        avatar_url -> Text,
        login_type -> Text,
        status -> Text,
        rbac_roles -> Array<Text>,
        hashed_password -> Bytea,
        hashed_one_time_passcode -> Nullable<Bytea>,
        one_time_passcode_expires_at -> Nullable<Timestamptz>,
        github_com_user_id -> Nullable<BigInt>,
        quiet_hours_schedule -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        last_seen_at -> Timestamp,
        deleted -> Bool,
        is_system -> Bool,
    }
}

diesel::table! {
    organizations (id) {
        id -> Uuid,
        name -> Text,
        display_name -> Text,
        description -> Text,
        icon -> Text,
        is_default -> Bool,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        deleted -> Bool,
    }
}

diesel::table! {
    organization_members (organization_id, user_id) {
        organization_id -> Uuid,
        user_id -> Uuid,
        roles -> Array<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    api_keys (id) {
        id -> Text,
        hashed_secret -> Bytea,
        user_id -> Uuid,
        login_type -> Text,
        token_name -> Text,
        scopes -> Array<Text>,
        allow_list -> Array<Text>,
        lifetime_seconds -> BigInt,
        ip_address -> Inet,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        last_used -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    gitsshkeys (user_id) {
        user_id -> Uuid,
        private_key -> Text,
        public_key -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        private_key_key_id -> Nullable<Text>,
    }
}

diesel::table! {
    user_links (user_id, login_type) {
        user_id -> Uuid,
        login_type -> Text,
        linked_id -> Text,
        oauth_access_token -> Text,
        oauth_access_token_key_id -> Nullable<Text>,
        oauth_refresh_token -> Text,
        oauth_refresh_token_key_id -> Nullable<Text>,
        oauth_expiry -> Timestamptz,
        claims -> Jsonb,
        oauth_refresh_leased_until -> Nullable<Timestamptz>,
        oauth_refresh_leased_by -> Nullable<Uuid>,
    }
}

diesel::table! {
    audit_logs (id) {
        id -> Uuid,
        time -> Timestamptz,
        user_id -> Uuid,
        organization_id -> Uuid,
        ip -> Nullable<Inet>,
        user_agent -> Nullable<Text>,
        resource_type -> Text,
        resource_id -> Uuid,
        resource_target -> Text,
        resource_icon -> Text,
        action -> Text,
        diff -> Jsonb,
        status_code -> Integer,
        additional_fields -> Jsonb,
        request_id -> Uuid,
    }
}

diesel::table! {
    site_configs (key) {
        #[max_length = 256]
        key -> Varchar,
        value -> Text,
    }
}

diesel::table! {
    user_configs (user_id, key) {
        user_id -> Uuid,
        #[max_length = 256]
        key -> Varchar,
        value -> Text,
    }
}

diesel::table! {
    user_build_parameters (user_id, template_id, name) {
        user_id -> Uuid,
        template_id -> Uuid,
        name -> Text,
        value -> Text,
        used_at -> Timestamptz,
    }
}

diesel::table! {
    notification_templates (id) {
        id -> Uuid,
        name -> Text,
        group -> Nullable<Text>,
        kind -> Text,
        method -> Nullable<Text>,
        enabled_by_default -> Bool,
        title_template -> Text,
        body_template -> Text,
        actions -> Nullable<Jsonb>,
    }
}

diesel::table! {
    notification_preferences (user_id, notification_template_id) {
        user_id -> Uuid,
        notification_template_id -> Uuid,
        disabled -> Bool,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    notification_messages (id) {
        id -> Uuid,
        notification_template_id -> Uuid,
        user_id -> Uuid,
        method -> Text,
        status -> Text,
        status_reason -> Nullable<Text>,
        created_by -> Text,
        payload -> Jsonb,
        targets -> Nullable<Array<Uuid>>,
        attempt_count -> Integer,
        created_at -> Timestamptz,
        updated_at -> Nullable<Timestamptz>,
        leased_until -> Nullable<Timestamptz>,
        leased_by -> Nullable<Uuid>,
        next_retry_after -> Nullable<Timestamptz>,
        due_at -> Nullable<Timestamptz>,
        dedupe_hash -> Nullable<Text>,
    }
}

diesel::table! {
    inbox_notifications (id) {
        id -> Uuid,
        user_id -> Uuid,
        template_id -> Uuid,
        targets -> Nullable<Array<Uuid>>,
        title -> Text,
        content -> Text,
        icon -> Text,
        actions -> Jsonb,
        read_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
    }
}

diesel::joinable!(organization_members -> organizations (organization_id));
diesel::joinable!(organization_members -> users (user_id));
diesel::joinable!(api_keys -> users (user_id));
diesel::joinable!(gitsshkeys -> users (user_id));
diesel::joinable!(user_links -> users (user_id));
diesel::joinable!(notification_messages -> notification_templates (notification_template_id));
diesel::joinable!(notification_messages -> users (user_id));
diesel::joinable!(inbox_notifications -> notification_templates (template_id));

diesel::allow_tables_to_appear_in_same_query!(
    users,
    organizations,
    organization_members,
    api_keys,
    gitsshkeys,
    user_links,
    notification_templates,
    notification_preferences,
    notification_messages,
    inbox_notifications,
);

#[cfg(test)]
mod tests;

diesel::table! {
    crypto_keys (feature, sequence) {
        feature -> Text,
        sequence -> Integer,
        secret -> Nullable<Text>,
        starts_at -> Timestamptz,
        deletes_at -> Nullable<Timestamptz>,
    }
}
