"""The page in a headless browser, served by the command. Needs Chromium: apt-get install
chromium chromium-driver; and pip install -e '.[demo]'."""

import io
import json
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

WAIT_S = 300


@pytest.fixture(scope="module")
def address(script_line, environment, prompt_pair):
    pytest.importorskip("gradio", reason="no Gradio: pip install -e '.[demo]'")
    words = ["--config-dir", str(prompt_pair), "demo.port=0", "demo.images=2"]
    words += ["demo.fractions=[0,0.5,1]", "sampler.steps=4", "run.device=cpu", "evaluation=none"]
    with subprocess.Popen(
        script_line("demo.py", *words), env=environment, text=True, stderr=subprocess.PIPE
    ) as served:
        try:
            line = next(line for line in served.stderr if "Ctrl-C" in line)
            yield line.split()[0]
        finally:
            served.terminate()


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver")
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("no chromium or no chromedriver on this machine")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.add_argument("--window-size=1280,1760")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    yield chrome
    chrome.quit()


def found(browser, selector):
    """Elements, once there is one."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, WAIT_S).until(lambda b: b.find_elements("css selector", selector))


def wait(browser, what):
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.support.ui import WebDriverWait

    ignored = (StaleElementReferenceException,)
    return WebDriverWait(browser, WAIT_S, ignored_exceptions=ignored).until(lambda b: what())


def fill(browser, selector, text):
    """What a person does: click, select all, type, Enter, and click somewhere else."""
    from selenium.webdriver.common.keys import Keys

    (field,) = found(browser, selector)
    field.click()
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(Keys.BACKSPACE, text, Keys.ENTER if "textarea" not in selector else "")
    found(browser, "#title")[0].click()


def text(browser, selector):
    return found(browser, selector)[0].text


@pytest.mark.slow
def test_the_page(address, browser, tmp_path):
    """Catches: events that are not wired, parts that do not arrive, bad input without a word, an
    answer that is another setting's, anything fetched from elsewhere."""
    browser.get(address)
    (button,) = found(browser, "#make")
    button.click()
    found(browser, "#curve svg")
    assert len(found(browser, "#strip img")) == 6 and len(found(browser, "#chosen img")) == 2
    assert "At fraction 0.4: 2 small, 2 large steps" in text(browser, "#chosen")
    rows = {row.text.split("\n")[0] for row in found(browser, "#strip tr")}
    assert {"T-shirt/top", "Trouser"} <= rows and any(r.startswith("ms / image") for r in rows)
    assert any(row.startswith("small steps 0 2 4") for row in rows)
    picture = browser.get_screenshot_as_png()
    (tmp_path / "page.png").write_bytes(picture)
    assert np.asarray(Image.open(io.BytesIO(picture))).std() > 20  # it is no blank page

    fill(browser, "#fraction input[type=number]", "0.75")
    wait(browser, lambda: "At fraction 0.75: 3 small, 1 large" in text(browser, "#chosen"))
    assert len(found(browser, "#strip img")) == 6  # the columns stay

    fill(browser, "#seed input", "")
    button.click()
    wait(browser, lambda: "seed: is empty" in text(browser, "#line [role=alert]"))
    fill(browser, "#seed input", "1")
    fill(browser, "#class input", "Sock")
    button.click()
    wait(browser, lambda: "'Sock' is no class" in text(browser, "#line [role=alert]"))
    assert not browser.find_elements("css selector", "#strip img")

    fill(browser, "#pair input", "toy")
    wait(browser, lambda: found(browser, "#prompt textarea")[0].is_displayed())
    fill(browser, "#prompt textarea", "")
    button.click()
    wait(browser, lambda: "prompt: is empty" in text(browser, "#line [role=alert]"))
    fill(browser, "#prompt textarea", "a red bird")
    button.click()
    found(browser, "#curve svg")
    assert "a red bird" in text(browser, "#strip") and len(found(browser, "#strip img")) == 6

    events = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    sent = [e["params"]["request"]["url"] for e in events if e["method"].endswith("WillBeSent")]
    assert sent and not [u for u in sent if not u.startswith((address, "data:", "blob:"))]
