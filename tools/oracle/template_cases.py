"""Small templates, one feature each, for template_oracle.py and (with jinja2's output) tests/tokenizer/jinja. They
stand in template_cases.json: the context they see, expressions (each is printed), and whole templates by topic."""
import json
from pathlib import Path

DATA = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
CONTEXT = DATA["context"]


def cases():
    """(name, template, context)"""
    for expression in DATA["expressions"]:
        yield expression, "{{ " + expression + " }}", CONTEXT
    for topic in DATA["templates"].values():
        for template in topic:
            yield template, template, CONTEXT
    # Bits of real life: the messages of a chat.
    for name, messages in (("strings", [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]),
                           ("parts", [{"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image"}]}])):
        template = ("{% for m in messages %}<|{{ m.role }}|>\n{% if m.content is string %}{{ m.content }}{% else %}{% for c in m['content'] %}"
                    "{% if c.type == 'text' %}{{ c.text }}{% else %}<img>{% endif %}{% endfor %}{% endif %}<|end|>\n{% endfor %}"
                    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}")
        for prompt in (False, True):
            yield f"chat of {name}, prompt {prompt}", template, {"messages": messages, "add_generation_prompt": prompt}
