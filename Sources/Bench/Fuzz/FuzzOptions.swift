// The command line of `fuzz`.

struct FuzzOptions {
    var targets: [any FuzzTarget.Type] = []
    /// How long each target runs.
    var seconds: Double = 60
    var seed: UInt64 = 1
    /// A folder with a folder of inputs for each target.
    var corpus: String?
    /// Where an input that ends a target is kept.
    var output = "."
    /// One file to run, and nothing else.
    var input: String?
    /// Set in the process that runs the inputs: the file in which it says what it is at.
    var worker: String?

    static let usage = """
        usage: fuzz TARGET|all [--seconds N] [--seed S] [--corpus DIR] [--output DIR] [--input FILE]

          --seconds N    how long each target runs (60)
          --seed S       the start of the random numbers (1): the same seed makes the same inputs
          --corpus DIR   further inputs, in DIR/TARGET/
          --output DIR   where an input that ends a target is kept (.)
          --input FILE   run this one input, in this process

        targets: \(FuzzTargets.all.map { $0.name }.joined(separator: ", "))
        """

    /// `nil` for a command line that makes no sense.
    init?(_ arguments: [String]) {
        var rest = arguments[...]
        guard let name = rest.popFirst() else { return nil }
        targets = name == "all" ? FuzzTargets.all : FuzzTargets.all.filter { $0.name == name }
        guard !targets.isEmpty else { return nil }
        while let option = rest.popFirst() {
            guard let value = rest.popFirst() else { return nil }
            switch option {
            case "--seconds":
                guard let number = Double(value), number >= 0 else { return nil }
                seconds = number
            case "--seed":
                guard let number = UInt64(value) else { return nil }
                seed = number
            case "--corpus": corpus = value
            case "--output": output = value
            case "--input": input = value
            case "--worker": worker = value
            default: return nil
            }
        }
    }
}
