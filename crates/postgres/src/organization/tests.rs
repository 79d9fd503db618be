use chrono::TimeDelta;
use serde_json::json;
use usher_domain::{
    AuditContext, OrganizationId, OrganizationName, Page, User, UserId,
    organization::OrganizationReference,
};
use usher_store::{
    Conflict, MemberFilter, NewOrganization, NewUser, OrganizationChange, OrganizationStore,
    StoreError, UserStore,
};
use uuid::Uuid;

use crate::testing::{TestStore, now, run_concurrently, user};

fn conflict(result: Result<impl std::fmt::Debug, StoreError>) -> Conflict {
    match result {
        Err(StoreError::Conflict(conflict)) => conflict,
        other => panic!("{other:?}"),
    }
}

fn organization(name: &str) -> NewOrganization {
    NewOrganization {
        id: OrganizationId(Uuid::new_v4()),
        name: OrganizationName::parse(name).unwrap(),
        display_name: format!("The {name}"),
        description: "Where things are made".to_owned(),
        icon: String::new(),
    }
}

/// An owner, their audit context, and an organization that they created.
async fn with_workshop() -> (TestStore, User, AuditContext, OrganizationId) {
    let store = TestStore::new().await;
    let owner = store.add_owner("owner").await;
    let by = store.sign_in(owner.id).await;
    let workshop = organization("workshop");
    store
        .create_organization(workshop.clone(), &by)
        .await
        .unwrap();
    let by = by.at(now() + TimeDelta::minutes(1));
    (store, owner, by, workshop.id)
}

fn roles(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn the_creator_of_an_organization_is_its_administrator() {
    let store = TestStore::new().await;
    let owner = store.add_owner("owner").await;
    let by = store
        .sign_in(owner.id)
        .await
        .at(now() + TimeDelta::seconds(1));
    let new = organization("Workshop");

    let made = store.create_organization(new.clone(), &by).await.unwrap();

    assert_eq!((made.id, made.name.as_str()), (new.id, "Workshop"));
    assert_eq!(
        (made.display_name, made.description),
        (new.display_name, new.description)
    );
    assert_eq!(
        (made.created_at, made.updated_at),
        (by.initiator.at, by.initiator.at)
    );
    assert!(!made.is_default);
    let membership = store.find_membership(new.id, owner.id).await.unwrap();
    assert_eq!(membership.unwrap().roles, ["organization-admin"]);
    let row = store.last_audit().await;
    assert_eq!(
        (&row["action"], &row["resource_type"]),
        (&json!("create"), &json!("organization"))
    );
    assert_eq!(row["organization_id"], new.id.to_string());
    assert_eq!(row["resource_id"], new.id.to_string());
    assert_eq!(row["resource_target"], "Workshop");
    assert_eq!(
        row["diff"],
        json!({
            "id": {"old": "", "new": new.id.to_string(), "secret": false},
            "name": {"old": "", "new": "Workshop", "secret": false},
            "display_name": {"old": "", "new": "The Workshop", "secret": false},
            "description": {"old": "", "new": "Where things are made", "secret": false},
        })
    );
}

#[tokio::test]
async fn organizations_are_found_as_the_default_by_id_and_by_name() {
    let (store, _, by, workshop) = with_workshop().await;
    let find = async |reference| {
        let found = store.find_organization(reference).await.unwrap();
        found.map(|organization| organization.name)
    };

    let named = |name: &str| OrganizationReference::Name(name.to_owned());
    assert_eq!(
        find(OrganizationReference::Default).await.as_deref(),
        Some("coder")
    );
    assert_eq!(
        find(OrganizationReference::Id(workshop)).await.as_deref(),
        Some("workshop")
    );
    assert_eq!(find(named("WORKSHOP")).await.as_deref(), Some("workshop"));
    assert_eq!(find(named("nowhere")).await, None);
    store.delete_organization(workshop, &by).await.unwrap();
    assert_eq!(find(OrganizationReference::Id(workshop)).await, None);
    assert_eq!(find(named("workshop")).await, None);
}

#[tokio::test]
async fn lists_are_ordered_by_name_without_deleted_organizations() {
    let (store, owner, by, workshop) = with_workshop().await;
    store
        .create_organization(organization("Attic"), &by)
        .await
        .unwrap();
    let names = |list: Vec<usher_domain::Organization>| -> Vec<String> {
        list.into_iter()
            .map(|organization| organization.name)
            .collect()
    };

    assert_eq!(
        names(store.list_organizations().await.unwrap()),
        ["Attic", "coder", "workshop"]
    );
    let own = store.list_organizations_of_user(owner.id).await.unwrap();
    assert_eq!(names(own), ["Attic", "workshop"]);
    store.delete_organization(workshop, &by).await.unwrap();
    assert_eq!(
        names(store.list_organizations().await.unwrap()),
        ["Attic", "coder"]
    );
    let own = store.list_organizations_of_user(owner.id).await.unwrap();
    assert_eq!(names(own), ["Attic"]);
}

#[tokio::test]
async fn names_are_unique_ignoring_case_until_deletion() {
    let (store, _, by, workshop) = with_workshop().await;

    let again = store
        .create_organization(organization("WorkShop"), &by)
        .await;
    assert_eq!(conflict(again), Conflict::OrganizationName);
    let change = OrganizationChange {
        name: Some(OrganizationName::parse("Coder").unwrap()),
        ..OrganizationChange::default()
    };
    let renamed = store.set_organization(workshop, change, &by).await;
    assert_eq!(conflict(renamed), Conflict::OrganizationName);
    store.delete_organization(workshop, &by).await.unwrap();
    store
        .create_organization(organization("WorkShop"), &by)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_change_updates_only_the_given_fields_and_audits_the_difference() {
    let (store, _, by, workshop) = with_workshop().await;
    let change = OrganizationChange {
        name: Some(OrganizationName::parse("lab").unwrap()),
        icon: Some("/lab.png".to_owned()),
        ..OrganizationChange::default()
    };

    let changed = store.set_organization(workshop, change, &by).await;

    let changed = changed.unwrap().unwrap();
    assert_eq!(
        (changed.name.as_str(), changed.icon.as_str()),
        ("lab", "/lab.png")
    );
    assert_eq!(changed.display_name, "The workshop");
    assert_eq!(
        (changed.created_at, changed.updated_at),
        (now(), by.initiator.at)
    );
    let row = store.last_audit().await;
    assert_eq!(
        (&row["action"], &row["resource_target"]),
        (&json!("write"), &json!("lab"))
    );
    assert_eq!(
        row["diff"],
        json!({
            "name": {"old": "workshop", "new": "lab", "secret": false},
            "icon": {"old": "", "new": "/lab.png", "secret": false},
        })
    );
    let nowhere = OrganizationId(Uuid::nil());
    let none = store
        .set_organization(nowhere, OrganizationChange::default(), &by)
        .await;
    assert_eq!(none.unwrap(), None);
}

#[tokio::test]
async fn the_default_organization_and_organizations_with_members_cannot_be_deleted() {
    let (store, _, by, workshop) = with_workshop().await;
    let default = store.default_organization().await;
    let ada = store.add_user("ada").await;
    store
        .create_membership(workshop, ada.id, &by)
        .await
        .unwrap();

    let deleted = store.delete_organization(default, &by).await;
    assert_eq!(conflict(deleted), Conflict::DefaultOrganization);
    let deleted = store.delete_organization(workshop, &by).await;
    assert_eq!(conflict(deleted), Conflict::OrganizationNotEmpty);

    store.delete_user(ada.id, false, &by).await.unwrap();
    let later = by.initiator.at + TimeDelta::seconds(1);
    let by = by.at(later);
    assert_eq!(
        store.delete_organization(workshop, &by).await.unwrap(),
        Some(())
    );
    assert_eq!(
        store.delete_organization(workshop, &by).await.unwrap(),
        None
    );
    let row = store.last_audit().await;
    assert_eq!(
        (&row["action"], &row["resource_target"]),
        (&json!("delete"), &json!("workshop"))
    );
    assert_eq!(
        row["diff"],
        json!({"deleted": {"old": false, "new": true, "secret": false}})
    );
}

#[tokio::test]
async fn creating_and_deleting_a_membership_is_audited() {
    let (store, owner, by, workshop) = with_workshop().await;
    let ada = store.add_user("ada").await;

    let made = store
        .create_membership(workshop, ada.id, &by)
        .await
        .unwrap();

    assert_eq!((made.user_id, made.organization_id), (ada.id, workshop));
    assert_eq!(
        (made.created_at, made.updated_at),
        (by.initiator.at, by.initiator.at)
    );
    let found = store.find_membership(workshop, ada.id).await.unwrap();
    assert_eq!(found, Some(made));
    let row = store.last_audit().await;
    let (none, then) = ("0001-01-01T00:00:00Z", "2026-03-04T05:07:07.123456Z");
    assert_eq!(
        (&row["action"], &row["resource_target"]),
        (&json!("create"), &json!("ada"))
    );
    assert_eq!(row["resource_type"], "organization_member");
    assert_eq!(row["organization_id"], workshop.to_string());
    assert_eq!(row["resource_id"], ada.id.to_string());
    assert_eq!(row["user_id"], owner.id.to_string());
    assert_eq!(
        row["diff"],
        json!({
            "username": {"old": "", "new": "ada", "secret": false},
            "user_id": {"old": "", "new": ada.id.to_string(), "secret": false},
            "roles": {"new": [], "secret": false},
            "created_at": {"old": none, "new": then, "secret": false},
            "updated_at": {"old": none, "new": then, "secret": false},
        })
    );

    let later = by.initiator.at + TimeDelta::seconds(1);
    let by = by.at(later);
    let ended = store.delete_membership(workshop, ada.id, &by).await;
    assert_eq!(ended.unwrap(), Some(()));
    let again = store.delete_membership(workshop, ada.id, &by).await;
    assert_eq!(again.unwrap(), None);

    assert_eq!(store.find_membership(workshop, ada.id).await.unwrap(), None);
    let row = store.last_audit().await;
    assert_eq!(row["action"], "delete");
    assert_eq!(
        row["diff"],
        json!({
            "username": {"old": "ada", "new": "", "secret": false},
            "user_id": {"old": ada.id.to_string(), "new": "", "secret": false},
            "roles": {"old": [], "secret": false},
            "created_at": {"old": then, "new": none, "secret": false},
            "updated_at": {"old": then, "new": none, "secret": false},
        })
    );
}

#[tokio::test]
async fn members_deleted_users_and_missing_organizations_are_rejected() {
    let (store, owner, by, workshop) = with_workshop().await;
    let gone = store.add_user("gone").await;
    store.delete_user(gone.id, false, &by).await.unwrap();
    let create =
        async |organization, user| conflict(store.create_membership(organization, user, &by).await);

    assert_eq!(create(workshop, owner.id).await, Conflict::AlreadyMember);
    assert_eq!(create(workshop, gone.id).await, Conflict::UserDeleted);
    let missing = UserId(Uuid::nil());
    assert_eq!(create(workshop, missing).await, Conflict::UserDeleted);
    let nowhere = OrganizationId(Uuid::nil());
    assert_eq!(
        create(nowhere, owner.id).await,
        Conflict::NoSuchOrganization
    );
    store.delete_organization(workshop, &by).await.unwrap();
    let ada = store.add_user("ada").await;
    assert_eq!(create(workshop, ada.id).await, Conflict::NoSuchOrganization);
}

#[tokio::test]
async fn member_roles_are_replaced_only_if_unchanged_since_they_were_read() {
    let (store, owner, by, workshop) = with_workshop().await;
    let set = async |old: &[&str], new: &[&str]| {
        let (old, new) = (roles(old), roles(new));
        store
            .set_membership_roles(workshop, owner.id, old, new, &by)
            .await
    };
    let new = [
        "organization-user-admin",
        "organization-auditor",
        "organization-auditor",
    ];

    let changed = set(&["organization-admin"], &new).await.unwrap().unwrap();

    assert_eq!(
        changed.roles,
        ["organization-auditor", "organization-user-admin"]
    );
    assert_eq!(changed.updated_at, now());
    let found = store.find_membership(workshop, owner.id).await.unwrap();
    assert_eq!(found, Some(changed));
    let row = store.last_audit().await;
    assert_eq!(
        row["diff"],
        json!({"roles": {
            "old": ["organization-admin"],
            "new": ["organization-auditor", "organization-user-admin"],
            "secret": false,
        }})
    );
    assert_eq!(
        conflict(set(&["organization-admin"], &[]).await),
        Conflict::ConcurrentModification
    );
    assert!(set(&new, &new).await.unwrap().is_some());
    let stranger = UserId(Uuid::nil());
    let none = store
        .set_membership_roles(workshop, stranger, vec![], vec![], &by)
        .await;
    assert_eq!(none.unwrap(), None);
}

#[tokio::test]
async fn members_are_listed_by_name_with_their_user_data() {
    let store = TestStore::new().await;
    let default = store.default_organization().await;
    for name in ["b", "A", "c", "gone"] {
        let organization_ids = vec![default];
        store
            .add(NewUser {
                organization_ids,
                ..user(name)
            })
            .await;
    }
    store
        .sql(
            "UPDATE users SET deleted = true WHERE username = 'gone';
             UPDATE users SET github_com_user_id = 4711, rbac_roles = '{auditor}', name = 'Bee',
                 avatar_url = '/b' WHERE username = 'b';
             INSERT INTO organization_members (organization_id, user_id, created_at, updated_at)
             SELECT organizations.id, users.id, now(), now() FROM organizations, users
             WHERE users.is_system",
        )
        .await;
    let list = async |filter: MemberFilter, limit, offset| {
        let page = Page { limit, offset };
        let listing = store.list_members(default, filter, page).await.unwrap();
        let names: Vec<String> = listing
            .items
            .into_iter()
            .map(|member| member.username)
            .collect();
        (names.join(" "), listing.count)
    };
    let all = MemberFilter::default;

    assert_eq!(list(all(), None, 0).await, ("A b c".to_owned(), 3));
    assert_eq!(list(all(), Some(1), 1).await, ("b".to_owned(), 3));
    assert_eq!(list(all(), Some(2), 5).await, (String::new(), 3));
    let filter = MemberFilter {
        include_system: true,
        ..all()
    };
    assert_eq!(
        list(filter, None, 0).await,
        ("A b c prebuilds".to_owned(), 4)
    );
    let filter = MemberFilter {
        github_user_id: Some(4711),
        ..all()
    };
    assert_eq!(list(filter, None, 0).await, ("b".to_owned(), 1));
    let filter = MemberFilter {
        user_id: Some(UserId(Uuid::nil())),
        ..all()
    };
    assert_eq!(list(filter, None, 0).await, (String::new(), 0));
    let page = Page {
        limit: Some(1),
        offset: 1,
    };
    let members = store
        .list_members(default, all(), page)
        .await
        .unwrap()
        .items;
    let [member] = members.as_slice() else {
        panic!("{members:?}")
    };
    assert_eq!(
        (member.name.as_str(), member.avatar_url.as_str()),
        ("Bee", "/b")
    );
    assert_eq!(
        (member.email.as_str(), &member.site_roles[..]),
        ("b@example.com", &roles(&["auditor"])[..])
    );
    assert_eq!(member.membership.organization_id, default);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_member_is_added_to_an_organization_that_is_being_deleted() {
    let (store, _, by, _) = with_workshop().await;
    for round in 0..8 {
        let new = organization(&format!("lab-{round}"));
        store.create_organization(new.clone(), &by).await.unwrap();
        let mut people = Vec::new();
        for i in 0..4 {
            people.push(store.add_user(&format!("user-{round}-{i}")).await.id);
        }
        let tasks = people.into_iter().enumerate().map(|(i, user)| {
            let (store, by, lab) = (store.share(), by.clone(), new.id);
            async move {
                if i == 2 {
                    store.delete_organization(lab, &by).await.map(drop)
                } else {
                    store.create_membership(lab, user, &by).await.map(drop)
                }
            }
        });

        let results = run_concurrently(tasks).await;

        let is_deleted = results[2].is_ok();
        for result in results.into_iter().filter(Result::is_err) {
            let conflict = conflict(result);
            let expected = if is_deleted {
                Conflict::NoSuchOrganization
            } else {
                Conflict::OrganizationNotEmpty
            };
            assert_eq!(conflict, expected);
        }
        let members = format!(
            "SELECT count(*) FROM organization_members WHERE organization_id = '{}'",
            new.id
        );
        let members = store.value(&members).await;
        assert_eq!(is_deleted, members == "1", "{members}");
    }
}
