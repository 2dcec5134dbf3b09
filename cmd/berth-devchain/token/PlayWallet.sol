// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// A contract wallet for tests: its signatures are its owner's, with the owner's
/// address before them, so that they have a length of their own (85 bytes). It
/// stands in the genesis block; slot 0 holds the owner.
contract PlayWallet {
    address public owner;

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        if (signature.length != 85 || address(bytes20(signature[:20])) != owner) return 0xffffffff;
        bytes32 r = bytes32(signature[20:52]);
        bytes32 s = bytes32(signature[52:84]);
        return ecrecover(digest, uint8(signature[84]), r, s) == owner ? bytes4(0x1626ba7e) : bytes4(0xffffffff);
    }
}
