"""Finding, checking and loading plugins: `discover` finds, `lock` pins, `manager` loads for one simulation."""
