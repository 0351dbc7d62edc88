"""A real browser, driven by its own driver; and a server to point it at."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from threading import Thread

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from agents.annotation.app import Server

FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 180  # seconds to wait for what must come


def missing():
    """Why there is no browser; empty where there is one."""
    if not any(map(shutil.which, BROWSERS)):
        return f"none of {', '.join(BROWSERS)} is installed"
    return "" if shutil.which("chromedriver") else "chromedriver is not installed"


@contextmanager
def browser(profile):
    """A browser with a profile of its own; nothing is fetched to start it."""
    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, BROWSERS)))
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={profile}", *(["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else [])):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


@contextmanager
def serving(study, port=0):
    """The page of a study, served from this process."""
    with Server(study, port) as server:
        thread = Thread(target=server.run, daemon=True)
        thread.start()
        yield server.url
    thread.join(PATIENCE)


class Page:
    """The page as an annotator meets it."""

    def __init__(self, driver, url):
        self.driver, self.url = driver, url

    def enter(self, name):
        """Open the page and give a name by keyboard."""
        self.driver.get(self.url)
        self.wait(lambda: self.focused() == "given")
        self.type(name, Keys.ENTER)
        self.wait(lambda: self.text("count"))

    def open(self, query):
        """Open the page with a query."""
        self.driver.get(self.url + query)
        self.wait(lambda: self.text("count"))

    def type(self, *keys):
        """Send keys to whatever has the focus."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def press(self, *keys):
        """Press keys, one after the other, and wait for what the page says to each."""
        for key in keys:
            before = self.text("said")
            self.type(key)
            self.wait(lambda before=before: self.text("said") != before and not self.busy())

    def wait(self, condition):
        """Wait until a condition holds."""
        WebDriverWait(self.driver, PATIENCE, poll_frequency=0.05).until(lambda _: condition())

    def element(self, name):
        """An element by its id."""
        return self.driver.find_element(By.ID, name)

    def text(self, name):
        """The text of an element, as it is seen."""
        return self.element(name).text

    def pair(self):
        """The texts that are shown: prompt, left, right."""
        return tuple(self.text(name) for name in ("prompt", "left", "right"))

    def focused(self):
        """The id of what has the focus."""
        return self.driver.switch_to.active_element.get_attribute("id")

    def busy(self):
        """Whether a request is on its way."""
        return self.driver.execute_script("return document.body.hasAttribute('aria-busy')")

    def prefer(self, scheme):
        """Light or dark."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def size(self, width, height, scale=1):
        """The window's size in CSS pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def complaints(self):
        """What the browser logged since this was last asked: errors, and violations of the content security policy."""
        return [entry["message"] for entry in self.driver.get_log("browser")]
