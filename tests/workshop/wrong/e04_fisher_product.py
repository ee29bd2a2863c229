"""What students write instead of the Fisher-vector product."""

import torch
from torch.autograd import grad
from torch.autograd.functional import hessian


def twice(mean_kl, theta, v):
    t = theta.clone().requires_grad_()
    (g,) = grad(mean_kl(t), t, create_graph=True)
    return grad(g @ v, t)[0]


def without_graph(mean_kl, theta, v):
    t = theta.clone().requires_grad_()
    (g,) = grad(mean_kl(t), t)
    return grad(g @ v, t)[0]


def first_derivative(mean_kl, theta, v):
    t = theta.clone().requires_grad_()
    return grad(mean_kl(t), t)[0]


def squared_gradient(mean_kl, theta, v):
    t = theta.clone().requires_grad_()
    (g,) = grad(mean_kl(t), t)
    return (g @ v) * g


def forgets_v(mean_kl, theta, v):
    t = theta.clone().requires_grad_()
    (g,) = grad(mean_kl(t), t, create_graph=True)
    return grad(g.sum(), t)[0]


def of_the_length(mean_kl, theta, v):
    return twice(mean_kl, theta, v / v.norm())


def a_number(mean_kl, theta, v):
    return v @ twice(mean_kl, theta, v)


def marks_theta(mean_kl, theta, v):
    theta += 0.0001 * v
    return twice(mean_kl, theta, v)


def forward_difference(mean_kl, theta, v):
    """Right at the minimum alone, where the gradient is 0: here the difference is of the function."""
    return 2 * mean_kl(theta + v) * v


WRONG = {
    "fisher_product": {
        "forgets the graph": without_graph,
        "the gradient": first_derivative,
        "g gᵀ v": squared_gradient,
        "forgets v": forgets_v,
        "normalises v": of_the_length,
        "vᵀAv": a_number,
        "twice as much": lambda mean_kl, theta, v: 2 * twice(mean_kl, theta, v),
        "minus": lambda mean_kl, theta, v: -twice(mean_kl, theta, v),
        "damped": lambda mean_kl, theta, v: twice(mean_kl, theta, v) + 0.1 * v,
        "the diagonal": lambda mean_kl, theta, v: hessian(mean_kl, theta).diag() * v,
        "v": lambda mean_kl, theta, v: v,
        "at another θ": lambda mean_kl, theta, v: twice(mean_kl, torch.zeros_like(theta), v),
        "moves theta": marks_theta,
        "a difference": forward_difference,
    }
}
