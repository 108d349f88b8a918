// A line of a policy: system calls, what their arguments may be, and what becomes of them.

/// What becomes of system calls of these names whose arguments satisfy every condition. Calls without a rule are forbidden: they are never
/// made, and end the process.
struct SystemCallRule: Hashable, Sendable {
    enum Outcome: Hashable, Sendable {
        case allowed
        /// It fails with this errno, as libraries that only try it expect.
        case failing(errno: Int32)
        /// It returns 0 and is not made.
        case pretended
    }

    struct Condition: Hashable, Sendable {
        enum Test: Hashable, Sendable {
            /// Of the argument's bits those in `mask` make this value.
            case masked(mask: UInt64, value: UInt64)
            case different(from: UInt64)
            /// It is the number of the process that the policy is applied to, which is known only when it is born.
            case ownProcess
        }
        /// From 0.
        var argument: UInt32
        var test: Test
    }

    var names: [String]
    var conditions: [Condition]
    var outcome: Outcome

    static func allow(_ names: String..., when conditions: Condition...) -> SystemCallRule {
        SystemCallRule(names: names, conditions: conditions, outcome: .allowed)
    }
    static func fail(_ names: String..., with errno: Int32, when conditions: Condition...) -> SystemCallRule {
        SystemCallRule(names: names, conditions: conditions, outcome: .failing(errno: errno))
    }
    static func pretend(_ names: String..., when conditions: Condition...) -> SystemCallRule {
        SystemCallRule(names: names, conditions: conditions, outcome: .pretended)
    }
}

extension SystemCallRule.Condition {
    /// An argument that the kernel takes as 32 bits (`int`, `unsigned`): what is above is not looked at.
    static func word(_ argument: UInt32, is value: UInt64) -> Self {
        Self(argument: argument, test: .masked(mask: 0xffff_ffff, value: value & 0xffff_ffff))
    }
    static func full(_ argument: UInt32, is value: UInt64) -> Self { Self(argument: argument, test: .masked(mask: .max, value: value)) }
    static func full(_ argument: UInt32, isNot value: UInt64) -> Self { Self(argument: argument, test: .different(from: value)) }
    /// Of the bits in `mask` these are set, and no other.
    static func bits(_ argument: UInt32, of mask: Int32, are bits: Int32 = 0) -> Self {
        Self(argument: argument, test: .masked(mask: UInt64(UInt32(bitPattern: mask)), value: UInt64(UInt32(bitPattern: bits))))
    }
    static func ownProcess(_ argument: UInt32) -> Self { Self(argument: argument, test: .ownProcess) }
}
