// What is wrong with the page that is open, by the name of the rule. Runs inside the page.

const parts = (color) => {
  const [red, green, blue, alpha = 1] = color.match(/[\d.]+/g).map(Number);
  return { red, green, blue, alpha };
};

// The color that comes out where one that lets light through lies over another.
const over = (front, back) => {
  const mix = (name) => front[name] * front.alpha + back[name] * (1 - front.alpha);
  return { red: mix("red"), green: mix("green"), blue: mix("blue"), alpha: 1 };
};

const ground = (element) => {
  if (!element) return parts("rgb(255, 255, 255)");
  const own = parts(getComputedStyle(element).backgroundColor);
  return own.alpha === 1 ? own : over(own, ground(element.parentElement));
};

// Relative luminance and contrast ratio as WCAG 2.2 defines them.
const luminance = ({ red, green, blue }) => {
  const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const [r, g, b] = [red, green, blue].map((value) => linear(value / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (front, back) => {
  const found = [luminance(over(front, back)), luminance(back)].sort((one, other) => one - other);
  return (found[1] + 0.05) / (found[0] + 0.05);
};

const isShown = (element) => element.checkVisibility() && element.getClientRects().length > 0;
const called = (element) => element.outerHTML.slice(0, 80);
const all = (selector) => [...document.querySelectorAll(selector)];
const controls = all("a[href], button, input, select, textarea").filter(
  (element) => isShown(element) && !element.disabled,
);

// Light where light is wanted, dark where dark is.
const scheme = (wanted) => {
  const found = luminance(ground(document.body));
  return (wanted === "dark" ? found < 0.05 : found > 0.8) ? [] : [`a ground of ${found}`];
};

const sideways = () => {
  const { scrollWidth, clientWidth } = document.documentElement;
  const wide = (element) => isShown(element) && element.getBoundingClientRect().right > clientWidth + 0.5;
  const scrolls = scrollWidth > clientWidth ? [`${scrollWidth} in ${clientWidth}`] : [];
  return scrolls.concat(all("body *").filter(wide).map(called));
};

const faintText = () => {
  const elements = new Set(controls);
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { parentElement, data } = texts.currentNode;
    if (data.trim() && isShown(parentElement)) elements.add(parentElement);
  }
  return [...elements].flatMap((element) => {
    const found = contrast(parts(getComputedStyle(element).color), ground(element));
    return found < 4.5 ? [`${found} ${called(element)}`] : [];
  });
};

const faintFields = () =>
  controls.filter((control) => control.matches("input, select")).flatMap((control) => {
    const edge = parts(getComputedStyle(control).borderTopColor);
    const found = contrast(edge, ground(control.parentElement));
    return found < 3 ? [`${found} ${called(control)}`] : [];
  });

const nameless = () => {
  const has = (labels) => [...(labels ?? [])].some((label) => label.innerText.trim());
  const fields = all("input:not([type=hidden]), select, textarea").filter((field) => !has(field.labels));
  const silent = controls.filter((one) => one.matches("a, button") && !one.innerText.trim());
  const pictures = all("img:not([alt])");
  const ids = all("[id]").map((element) => element.id);
  const twice = ids.filter((id, index) => ids.indexOf(id) !== index);
  const titles = all("h1").length === 1 && document.title ? [] : ["one title and one heading"];
  return [...fields, ...silent, ...pictures].map(called).concat(twice, titles);
};

// Whether the ring around what has the focus is there, stands out, and lies inside the window.
const ring = (element) => {
  const { outlineStyle, outlineColor, outlineWidth, outlineOffset } = getComputedStyle(element);
  const { top, bottom, left, right } = element.getBoundingClientRect();
  const width = parseFloat(outlineWidth);
  const room = width + parseFloat(outlineOffset);
  const wrong = [];
  if (outlineStyle === "none" || width < 2) wrong.push("no ring");
  if (contrast(parts(outlineColor), ground(element.parentElement)) < 3) wrong.push("a faint ring");
  if (top < room || bottom > innerHeight - room) wrong.push("above or below the window");
  if (left < room || right > innerWidth - room) wrong.push("beside the window");
  return wrong.map((wrong) => `${wrong}: ${called(element)}`);
};

const hiddenFocus = () => {
  const wrong = controls.flatMap((control) => {
    control.focus({ focusVisible: true });
    return document.activeElement === control ? ring(control) : [`no focus: ${called(control)}`];
  });
  document.activeElement.blur();
  scrollTo(0, 0);
  return wrong;
};
