//! A browser with a profile of its own, and what a person or a script does in it.

use super::{
    Certificate, Folder, PATIENCE,
    webdriver::{Refused, WebDriver},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
    sync::Once,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// Chromium behind chromedriver, without a window. Both end with this value, and so does the profile.
pub(crate) struct Browser {
    driver: WebDriver,
    profile: Folder,
    chromium: OsString,
    flags: Vec<String>,
    running: Option<Running>,
}

/// A Chromium that has been started.
struct Running {
    /// The path of its commands.
    path: String,
    process: u64,
}

/// A cookie as the browser keeps it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cookie {
    pub(crate) name: String,
    pub(crate) value: String,
    /// Everything that says where and how long it goes, in the words of the Set-Cookie line.
    pub(crate) attributes: Vec<String>,
    /// In how many seconds the browser gives it up, unless it goes with the last window.
    remaining: Option<f64>,
}

impl Browser {
    /// Starts a browser, or says that there is none.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts a browser that takes this certificate, or says that there is none.
    pub(crate) fn start_trusting(certificate: &Certificate) -> Option<Self> {
        let digest = certificate.digest();
        Self::start_with(&[format!("--ignore-certificate-errors-spki-list={digest}")])
    }

    fn start_with(flags: &[String]) -> Option<Self> {
        let (chromium, chromedriver) = installed()?;
        let profile = Folder::new();
        let driver = WebDriver::start(&chromedriver, profile.path());
        let flags = flags.to_vec();
        let mut browser = Self { driver, profile, chromium, flags, running: None };
        browser.open();
        Some(browser)
    }

    /// Quits, as a person does, and starts again with the same profile.
    pub(crate) fn restart(&mut self) {
        let process = self.running.as_ref().unwrap().process;
        self.quit().unwrap();
        self.wait("the end of the browser", |_| (!is_running(process)).then_some(()));
        self.open();
        assert_ne!(self.running.as_ref().unwrap().process, process);
    }

    fn open(&mut self) {
        let mut arguments = self.flags.clone();
        arguments.extend([
            "--headless=new".to_owned(),
            // A window without tabs and address bar, which are pages too and take longer than ours.
            "--app=data:text/html,".to_owned(),
            // Chromium's sandbox does not start for root, and the pages are our own.
            "--no-sandbox".to_owned(),
            // Containers have too little of that memory for a browser per test.
            "--disable-dev-shm-usage".to_owned(),
            "--no-proxy-server".to_owned(),
            "--window-size=1280,900".to_owned(),
            format!("--user-data-dir={}", self.profile.path().join("profile").display()),
            // The examples' names are this machine, and there is no other.
            "--host-resolver-rules=MAP *.example 127.0.0.1, MAP * ~NOTFOUND, \
             EXCLUDE 127.0.0.1, EXCLUDE localhost"
                .to_owned(),
        ]);
        let patience = u64::try_from(PATIENCE.as_millis()).unwrap();
        let capabilities = json!({
            "goog:chromeOptions": { "binary": self.chromium.to_str(), "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
            "timeouts": { "script": patience, "pageLoad": patience, "implicit": 0 },
        });
        let body = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let session = self.driver.call("POST", "/session", &body).unwrap();
        self.running = Some(Running {
            path: format!("/session/{}", session["sessionId"].as_str().unwrap()),
            process: session["capabilities"]["goog:processID"].as_u64().unwrap(),
        });
    }

    fn quit(&mut self) -> Result<(), Refused> {
        let Some(running) = self.running.take() else { return Ok(()) };
        self.driver.call("DELETE", &running.path, &Value::Null).map(drop)
    }

    fn try_command(&self, method: &str, command: &str, body: &Value) -> Result<Value, Refused> {
        let path = &self.running.as_ref().unwrap().path;
        self.driver.call(method, &format!("{path}{command}"), body)
    }

    #[track_caller]
    fn command(&self, method: &str, command: &str, body: &Value) -> Value {
        self.try_command(method, command, body).unwrap()
    }

    /// Goes to an address and waits until the page has loaded.
    #[track_caller]
    pub(crate) fn go(&self, address: &str) {
        self.command("POST", "/url", &json!({ "url": address }));
    }

    /// Runs a script in the page, waits for it if it is asynchronous, and gives what it returns.
    #[track_caller]
    pub(crate) fn run(&self, script: &str) -> Value {
        self.run_with(script, &[])
    }

    /// As [`Browser::run`], with `arguments` for the script.
    #[track_caller]
    pub(crate) fn run_with(&self, script: &str, arguments: &[Value]) -> Value {
        self.try_run(script, arguments).unwrap()
    }

    fn try_run(&self, script: &str, arguments: &[Value]) -> Result<Value, Refused> {
        let script = format!("return (async () => {{ {script} }})()");
        self.try_command("POST", "/execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// Asks the browser itself, in the words of its developers' tools.
    #[track_caller]
    pub(crate) fn ask(&self, command: &str, parameters: &Value) -> Value {
        self.command("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// The text of the first element that matches, as it is shown; `None` without one.
    #[track_caller]
    pub(crate) fn text(&self, selector: &str) -> Option<String> {
        let script = "return document.querySelector(arguments[0])?.innerText ?? null";
        self.run_with(script, &[json!(selector)]).as_str().map(str::to_owned)
    }

    /// The element that matches, as `WebDriver` names it.
    #[track_caller]
    fn element(&self, selector: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = self.command("POST", "/element", &wanted);
        found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned()
    }

    /// Types into a field, in place of what is there.
    #[track_caller]
    pub(crate) fn fill(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.command("POST", &format!("/element/{element}/clear"), &json!({}));
        self.command("POST", &format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// Clicks with the mouse.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.command("POST", &format!("/element/{element}/click"), &json!({}));
    }

    /// Presses the key that moves the focus on.
    #[track_caller]
    pub(crate) fn press_tab(&self) {
        for kind in ["rawKeyDown", "keyUp"] {
            let key =
                json!({ "type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9 });
            self.ask("Input.dispatchKeyEvent", &key);
        }
    }

    /// The whole page as a PNG, below the edge of the window too.
    #[track_caller]
    pub(crate) fn picture(&self) -> Vec<u8> {
        let taken = self.ask("Page.captureScreenshot", &json!({ "captureBeyondViewport": true }));
        BASE64_STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()
    }

    /// Clicks, and waits until the page that follows has loaded.
    #[track_caller]
    pub(crate) fn click_through(&self, selector: &str) {
        self.leave_by(|| self.click(selector));
    }

    /// Does what leads to another page, and waits until that has loaded.
    #[track_caller]
    pub(crate) fn leave_by(&self, act: impl FnOnce()) {
        let left = self.run("return performance.timeOrigin");
        act();
        self.wait("the next page", |browser| {
            let script = "return [performance.timeOrigin, document.readyState]";
            // Between two pages there is none to run a script in.
            let seen = browser.try_run(script, &[]).ok()?;
            (seen[0] != left && seen[1] == "complete").then_some(())
        });
    }

    /// Waits, for a bounded time, until the browser gives something.
    #[track_caller]
    pub(crate) fn wait<R>(&self, what: &str, look: impl Fn(&Self) -> Option<R>) -> R {
        let start = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        }
    }

    /// The tab in which commands are carried out.
    pub(crate) fn tab(&self) -> String {
        self.command("GET", "/window", &Value::Null).as_str().unwrap().to_owned()
    }

    /// Opens a tab of this name, which forms and scripts can find it by, and stays where it is.
    #[track_caller]
    pub(crate) fn open_tab(&self, name: &str) -> String {
        let before = self.command("GET", "/window/handles", &Value::Null);
        self.run_with("window.open('about:blank', arguments[0])", &[json!(name)]);
        self.wait("a new tab", |browser| {
            let tabs = browser.command("GET", "/window/handles", &Value::Null);
            let is_new = |tab: &&Value| !before.as_array().unwrap().contains(tab);
            tabs.as_array().unwrap().iter().find(is_new)?.as_str().map(str::to_owned)
        })
    }

    /// Carries out what follows in this tab.
    #[track_caller]
    pub(crate) fn turn_to(&self, tab: &str) {
        self.command("POST", "/window", &json!({ "handle": tab }));
    }

    /// Leaves one empty tab and no cookie.
    #[track_caller]
    pub(crate) fn start_over(&self) {
        let tabs = self.command("GET", "/window/handles", &Value::Null);
        let [first, others @ ..] = tabs.as_array().unwrap().as_slice() else { return };
        for tab in others {
            self.turn_to(tab.as_str().unwrap());
            self.command("DELETE", "/window", &Value::Null);
        }
        self.turn_to(first.as_str().unwrap());
        self.go("about:blank");
        self.clear_cookies();
    }

    /// Takes every cookie away.
    #[track_caller]
    pub(crate) fn clear_cookies(&self) {
        self.ask("Storage.clearCookies", &json!({}));
    }

    /// Every cookie, by name.
    #[track_caller]
    pub(crate) fn cookies(&self) -> Vec<Cookie> {
        let cookies = self.ask("Storage.getCookies", &json!({}));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let cookies = cookies["cookies"].as_array().unwrap().iter();
        let mut cookies: Vec<_> = cookies.map(|cookie| Cookie::read(cookie, now)).collect();
        cookies.sort_by(|one, other| one.name.cmp(&other.name));
        cookies
    }

    /// The value of the cookie of this name.
    #[track_caller]
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.cookies().into_iter().find(|cookie| cookie.name == name).map(|cookie| cookie.value)
    }

    /// The names of all cookies, in the order of the alphabet.
    #[track_caller]
    pub(crate) fn cookie_names(&self) -> Vec<String> {
        self.cookies().into_iter().map(|cookie| cookie.name).collect()
    }

    /// What the browser has complained about since this was last asked: scripts, policies, what did not load.
    #[track_caller]
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.command("POST", "/se/log", &json!({ "type": "browser" }));
        log.as_array().unwrap().iter().map(|entry| entry["message"].to_string()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.quit();
        // One that did not quit, or never came so far as to be asked. None may write to the profile any more.
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let left = processes_of(self.profile.path());
            if left.is_empty() {
                break;
            }
            left.into_iter().for_each(kill);
        }
    }
}

impl Cookie {
    fn read(cookie: &Value, now: f64) -> Self {
        let text = |field: &str| cookie[field].as_str().unwrap_or_default().to_owned();
        let said = |field: &str, word: &str| {
            cookie[field].as_bool().unwrap_or_default().then(|| word.to_owned())
        };
        let attributes = [
            Some(format!("Path={}", text("path"))),
            // A dot is the browser's mark of a cookie that goes to the hosts below too.
            text("domain").strip_prefix('.').map(|domain| format!("Domain={domain}")),
            said("secure", "Secure"),
            said("httpOnly", "HttpOnly"),
            cookie["sameSite"].as_str().map(|same_site| format!("SameSite={same_site}")),
            cookie.get("partitionKey").map(|_| "Partitioned".to_owned()),
        ];
        Self {
            name: text("name"),
            value: text("value"),
            attributes: attributes.into_iter().flatten().collect(),
            remaining: cookie["expires"].as_f64().filter(|at| *at > 0.0).map(|at| at - now),
        }
    }

    /// In how many days the browser gives it up; `None` for one that goes with the last window.
    pub(crate) fn days(&self) -> Option<f64> {
        self.remaining.map(|seconds| (seconds / 86_400.0).round())
    }
}

/// Where Chromium and chromedriver are. Without them the tests say so once, and in CI they fail.
fn installed() -> Option<(OsString, OsString)> {
    static SAID: Once = Once::new();
    let found = find("chromium").zip(find("chromedriver"));
    if found.is_none() {
        assert!(
            env::var("CI").as_deref() != Ok("true"),
            "chromium or chromedriver is not installed"
        );
        SAID.call_once(|| {
            // Written past the macros, whose text the test runner keeps to itself.
            let words = "SKIPPED: chromium or chromedriver is not installed, no browser was asked";
            let _ = writeln!(io::stderr(), "{words}");
        });
    }
    found
}

fn find(program: &str) -> Option<OsString> {
    let folders = env::var_os("PATH")?;
    let mut files = env::split_paths(&folders).map(|folder| folder.join(program));
    files.find(|file| file.is_file()).map(PathBuf::into_os_string)
}

fn is_running(process: u64) -> bool {
    // One that has ended, and that nobody has asked how, has no command line any more.
    fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// The processes that were started with this folder.
fn processes_of(folder: &Path) -> Vec<u64> {
    // What they are told is inside it; another folder's name may begin with this one's.
    let inside = format!("{}/", folder.display());
    let named_in = |process: &u64| {
        let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&inside)
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(named_in).collect()
}

fn kill(process: u64) {
    let _ = Command::new("sh").args(["-c", &format!("kill -s KILL {process}")]).status();
}
