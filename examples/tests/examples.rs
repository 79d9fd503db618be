//! Runs the examples.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command},
};
use usher_client::{
    Client, UserRef,
    types::{api_key::CreateTokenRequest, user::CreateFirstUserRequest},
};
use usher_local_postgres::testing::TestCluster;

/// Starts `own_routes` on a free port, and returns it with its URL.
async fn serve(database_url: &str) -> (Child, String) {
    let mut server = Command::new(env!("CARGO_BIN_EXE_own_routes"))
        .env("USHER_HTTP_ADDRESS", "127.0.0.1:0")
        .env("USHER_PG_CONNECTION_URL", database_url)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().expect("it prints its URL");
    let (url, _) = line.split_once("/hello").unwrap();
    (server, url.to_owned())
}

/// The whole response to a GET request.
async fn get(url: &str, path: &str) -> String {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

/// Runs `who_is_it`, and returns whether it succeeded and its output.
async fn ask(database_url: &str, token: &str) -> (bool, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_who_is_it"))
        .env("USHER_TOKEN", token)
        .env("USHER_PG_CONNECTION_URL", database_url)
        .output()
        .await
        .unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn own_routes_serves_the_api_too_and_who_is_it_accepts_its_tokens() {
    let database = TestCluster::shared().await.database().await;
    let (_server, url) = serve(database.url()).await;
    assert!(get(&url, "/hello").await.ends_with("your own service.\n"));

    let client = Client::new(&url).unwrap();
    let first = CreateFirstUserRequest {
        email: "owner@example.com".into(),
        username: "owner".into(),
        password: "a long enough passphrase".into(),
        ..CreateFirstUserRequest::default()
    };
    client.create_first_user(&first).await.unwrap();
    let client = client.logged_in(first.email, first.password).await.unwrap();
    let narrow = CreateTokenRequest {
        scopes: vec!["user:read_personal".into()],
        ..CreateTokenRequest::default()
    };
    let token = client.create_token(UserRef::Me, &narrow).await.unwrap();

    let session = client.token().unwrap().expose();
    let everything = "owner <owner@example.com>\n\
                      may read their personal data\n\
                      may read all users\n\
                      may create users\n\
                      may create organizations\n";
    assert_eq!(
        ask(database.url(), session).await,
        (true, everything.to_owned())
    );
    let little = "owner <owner@example.com>\n\
                  may read their personal data\n\
                  may not read all users\n\
                  may not create users\n\
                  may not create organizations\n";
    assert_eq!(
        ask(database.url(), token.key.expose()).await,
        (true, little.to_owned())
    );
    let (is_known, said) = ask(database.url(), "0123456789-0123456789abcdefghijkl").await;
    assert!(
        !is_known && said.contains("the token does not exist"),
        "{said}"
    );
}
