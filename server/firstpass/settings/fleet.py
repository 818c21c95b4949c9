"""The section `fleet`: the memory that several engines share, and how they take turns in it."""

from pydantic import Field

from firstpass.settings.section import Section


class FleetSettings(Section):
    memory_bytes: int | None = Field(
        None,
        gt=0,
        description="What all loaded models may take together; by default what the machine, or its cgroup, has, less a"
        " reserve of a tenth, and of 1 GiB at least.",
    )
    load_seconds: float = Field(
        120.0, gt=0, description="How long a request waits for its model to be loaded; then it is a 503."
    )
    turn_seconds: float = Field(
        30.0,
        ge=0,
        description="A model that another one waits for lets requests in for so long after it was loaded, and then none"
        " until the other one had its turn: models that do not fit together are not exchanged at every request.",
    )
