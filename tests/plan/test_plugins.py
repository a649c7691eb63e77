"""Settings of plug-ins are read from their code, without importing it."""

import inspect
import textwrap
from importlib import import_module

import pytest
from conftest import EMBEDDED, ROOT

from harmonization.files import InputError
from harmonization.learning.models import Specification, build
from harmonization.learning.network import Network, Task
from harmonization.plan.methods import WINGS, read_methods
from harmonization.plan.plugins import class_name, module_of, plugin_names, read_plugin
from harmonization.plan.schemas import check_settings

PLUGINS = [(wing, name) for wing in WINGS.values() for name in plugin_names(wing)]


def plugin(tmp_path, source):
    (tmp_path / "networks").mkdir(exist_ok=True)
    path = tmp_path / "networks/some_net.py"
    path.write_text(textwrap.dedent(source))
    read_plugin.cache_clear()
    return read_plugin("networks", "some_net", tmp_path)


SOURCE = """
    class SomeNet(Network):
        \"\"\"A network for the test.

        Parameters
        ----------
        width : int
            Its channels,
            on two lines.
        rate, decay
            Both of them.
        \"\"\"

        def __init__(self, task, components=None, *, width: Count, rate: float, decay: float = 0.5,
                     kind: Literal["a", "b"] = "a", sizes: list[int] = (), seed: int | None = None):
            pass

        def solve(self, training, validation, *, penalties: list[NonNegative]):
            \"\"\"Solve.

            Parameters
            ----------
            penalties
                To try.
            \"\"\"
    """


def test_settings_have_types_and_meanings(tmp_path):
    found = plugin(tmp_path, SOURCE)
    assert found.summary == "A network for the test."
    properties = found.settings["properties"]
    assert properties["width"] == {
        "type": "integer",
        "minimum": 1,
        "description": "Its channels, on two lines.",
    }
    assert properties["rate"] == {"type": "number", "description": "Both of them."}
    assert properties["kind"]["enum"] == ["a", "b"]
    assert found.settings["required"] == ["width", "rate"]
    assert found.solve["properties"]["penalties"] == {
        "type": "array",
        "items": {"type": "number", "minimum": 0},
        "minItems": 1,
        "description": "To try.",
    }


@pytest.mark.parametrize(
    ("base", "needed"),
    [
        ("TemplateModel", True),
        ("common_space.TemplateModel", True),
        ("OfTemplate", True),
        ("ImageModel", False),
    ],
)
def test_a_class_that_extends_the_template_model_in_any_way_needs_the_template(
    tmp_path, base, needed
):
    plugin(tmp_path, SOURCE)
    (tmp_path / "networks/of_template.py").write_text("class OfTemplate(TemplateModel): pass")
    assert plugin(tmp_path, f"class SomeNet({base}): pass").needs_template == needed


@pytest.mark.parametrize(
    ("source", "needed"),
    [
        ("class SomeNet(Network): pass", True),
        ("class SomeNet(Network): needs_fit = False", False),
        ("class SomeNet(Network): needs_fit: bool = False", False),
        ("class SomeNet(Network):\n    def needs_fit(self): pass", False),
        ("class SomeNet(OfMeans): pass", False),
        ("class SomeNet(OfMeans): needs_fit = True", True),
    ],
)
def test_a_network_says_whether_it_needs_a_fit(tmp_path, source, needed):
    plugin(tmp_path, SOURCE)
    (tmp_path / "networks/of_means.py").write_text("class OfMeans(Network): needs_fit = False")
    assert plugin(tmp_path, source).needs_fit == needed


@pytest.mark.parametrize(("wing", "name"), PLUGINS)
def test_the_source_and_python_agree_on_whether_a_fit_is_needed(wing, name):
    said = getattr(import_module(module_of(wing, name)), class_name(name)).needs_fit
    assert read_plugin(wing, name).needs_fit == said


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 3}, "'rate' is a required property"),
        ({"width": 0, "rate": 1}, "width: 0 is less than the minimum of 1"),
        ({"width": "x", "rate": 1}, "width: 'x' is not of type 'integer'"),
        ({"width": 3, "rate": 1, "widht": 2}, "unknown key 'widht' at top level; did you mean"),
        ({"width": 3, "rate": 1, "kind": "c"}, "kind: 'c' is not one of"),
        ({"width": 3, "rate": 1, "sizes": [1.5]}, "sizes.0: 1.5 is not of type 'integer'"),
        ({"width": 3, "rate": 1, "sizes": []}, r"sizes: \[\] are 0; give at least 1"),
        ({"width": 3, "rate": 1, "seed": "x"}, "seed: 'x' is not of type 'integer'"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, settings, message):
    schema = plugin(tmp_path, SOURCE).settings
    with pytest.raises(InputError, match=message):
        check_settings(settings, schema, "method m: network")
    right = {"width": "3", "rate": "1e-3", "seed": None, "sizes": [1]}
    assert check_settings(right, schema, "m") == right | {"width": 3, "rate": 1e-3}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("class Other: pass", "holds no class SomeNet; name the class after the file"),
        (
            "class SomeNet:\n    def __init__(self, *, width): pass",
            "setting 'width' has no type that the configuration check knows",
        ),
        (
            "class SomeNet:\n    def __init__(self, *, width: dict): pass",
            "setting 'width' has no type that the configuration check knows",
        ),
        (
            "class SomeNet:\n    def __init__(self, *, width: Literal[-1]): pass",
            "setting 'width' has no type that the configuration check knows",
        ),
        ("class SomeNet(:", r"some_net\.py: line 1: is no Python"),
    ],
)
def test_a_plugin_that_cannot_be_checked_is_refused(tmp_path, source, message):
    with pytest.raises(InputError, match=message):
        plugin(tmp_path, source)


@pytest.mark.parametrize(("wing", "name"), PLUGINS)
def test_the_source_and_python_agree_on_the_settings(wing, name):
    """The settings read from the code are the arguments that the class takes."""
    found = read_plugin(wing, name)
    assert found.summary
    for entry in found.settings["properties"].values():
        assert entry["description"], f"{name}: document every setting"
    methods = read_methods(EMBEDDED | {"methods": [m.name for m in METHODS.values()]}, ROOT)
    method = next(m for m in methods.values() if (m.wing, m.plugin) == (wing, name))
    if not method.builds_on:
        task = Task(6, {"t": 1}, None if method.fits == "all" else "t", 0)
        model = build(Specification(wing, name, method.settings, task))
        plugin_class = type(model.network if wing == "networks" else model)
        parameters = inspect.signature(plugin_class).parameters.values()
        names = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
        assert names == list(found.settings["properties"])
        assert (found.solve is None) == (
            getattr(plugin_class, "solve", Network.solve) is Network.solve
        )


METHODS = read_methods(
    EMBEDDED | {"methods": [p.stem for p in (ROOT / "config/methods").rglob("*.yaml")]}, ROOT
)
